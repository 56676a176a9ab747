"""Words that stand for others: common given names, surnames, cities and streets of many countries."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


GIVEN = _words(
    """
    Ada Adam Adele Agnes Ahmed Aisha Akira Alan Albert Alex Alfred Alicia Alma Amara Amelia Amir Andre Andrew
    Angela Anita Anke Anton Arlo Arthur Asha Astrid Audrey Aurora Beatrice Benedict Bernard Bianca Boris Brenda
    Brian Bruno Camille Carla Carmen Caroline Cecilia Cesar Chloe Clara Claude Colin Conrad Cora Dalia Damian
    Daphne Darius David Deborah Denise Dennis Diana Diego Dimitri Dolores Dominic Doris Edgar Edith Edwin Elaine
    Elena Elias Elisa Ellen Elmer Elsa Emil Emilia Emma Enzo Erik Esther Ethel Eugene Eva Evelyn Fatima Felix
    Fernando Fiona Flora Florence Frank Frida Gabriel Gemma George Gerald Gina Gloria Gordon Greta Gustav Hakim
    Hannah Harold Harriet Harvey Hector Heidi Helen Henry Hilda Hiroshi Hugo Ibrahim Ida Igor Ines Ingrid Irene
    Iris Isaac Isabel Ivan Jacob Janet Jasmine Jerome Joan Joel Johanna Jonas Jorge Josef Judith Julia Julius Kamal
    Karen Karim Karl Katrin Keith Kenji Kevin Kira Lara Laurence Layla Leo Leon Leonie Lewis Lidia Lina Louis Lucas
    Lucia Luisa Lydia Magnus Manuel Marcel Margaret Maria Marina Mario Martha Martin Matilda Maurice Maya Mehmet
    Melanie Miguel Milan Miriam Mohan Monica Nadia Naomi Natalie Nathan Nicholas Nina Noah Nora Norman Olaf Olga
    Oliver Omar Oscar Pablo Pamela Patrick Paula Pedro Peter Philip Priya Quentin Rachel Rafael Ralph Ramona
    Raymond Rebecca Renata Ricardo Rita Robert Roland Rosa Ruben Ruth Samira Samuel Sandra Sara Sebastian Selma
    Sergio Silvia Simon Sofia Sonia Stella Stephen Sven Tamara Tanya Teresa Theodore Thomas Tobias Ursula Valentina
    Vera Victor Viola Vincent Walter Wanda Wendy Xavier Yasmin Yuri Yvonne Zara
    """
)
SURNAMES = _words(
    """
    Abbott Acosta Adler Aguilar Ahlberg Albrecht Almeida Andersen Andrade Araya Arnold Ashford Atkins Bailey
    Banerjee Barlow Barros Bauer Becker Benitez Bennett Bergman Bernardi Bianchi Bishop Blanchard Bloom Bondar
    Borges Bowman Bradley Brandt Braun Bridges Buchanan Burgess Byrne Calder Campbell Carlsen Carmona Carter
    Castillo Chandra Chavez Clayton Coleman Conti Cortez Costa Crawford Dahl Dalton Daniels Delgado Dietrich Dixon
    Donovan Dubois Duarte Duncan Eklund Elliott Ellison Emerson Engel Eriksen Escobar Espinoza Evans Farrell
    Faulkner Ferrari Ferreira Figueroa Fischer Fleming Fontaine Forsberg Foster Fournier Franklin Freitas Fuentes
    Fujita Gallagher Garland Garrett Gerber Gibson Giordano Gomes Goodwin Grant Greco Griffin Guerrero Gupta Haas
    Hammond Hansen Harper Hartmann Hashimoto Hayes Henderson Herrera Hoffman Holloway Horvat Hughes Ibarra Ishikawa
    Ivanov Jansen Jensen Jimenez Johansen Joshi Kapoor Keller Kimura Klein Kowalski Kramer Krause Kruger Lambert
    Larsen Laurent Lehmann Leonard Lindgren Lombardi Lorenz Lundberg Madsen Maldonado Marchetti Marino Marshall
    Matsuda Mendoza Mercer Meyer Molina Moretti Morrison Mueller Nakamura Navarro Nelson Nguyen Nielsen Norris
    Novak Nowak Oconnor Olsen Ortega Osborne Pacheco Palmer Patterson Pedersen Pereira Petrov Pham Pinto Popescu
    Porter Quinn Ramsey Reeves Reinhardt Reyes Ricci Richter Rivera Romano Rossi Roth Sanders Santoro Sato Saunders
    Schmitt Schneider Serrano Shapiro Sharma Silveira Simmons Sokolov Soto Spencer Stein Stevens Suzuki Svensson
    Takeda Tanaka Taylor Thompson Torres Tucker Ueda Valdez Vargas Vasquez Vega Vogel Wagner Wallace Weber Weiss
    Whitaker Winkler Wolff Yamada Zhukov Ziegler Zimmermann
    """
)
CITIES = _words(
    """
    Aberdeen Adelaide Albany Alicante Almeria Amberg Antwerp Arlington Augsburg Austin Avignon Bamberg Bangor
    Bergen Bilbao Boise Bologna Bordeaux Bremen Brescia Brighton Bristol Brno Bruges Burgos Cadiz Calgary Canberra
    Cardiff Catania Coimbra Cologne Cordoba Cork Cremona Dallas Darwin Debrecen Denver Dijon Dover Dresden Dundee
    Durham Erfurt Eugene Exeter Fargo Ferrara Fresno Galway Gdansk Geneva Genoa Ghent Girona Grenoble Hamburg
    Hanover Hartford Helena Hobart Inverness Izmir Jena Kassel Kiel Krakow Lahti Laramie Leeds Leicester Leiden
    Leipzig Leon Lille Limerick Lincoln Linz Lucerne Lyon Malaga Mannheim Messina Modena Murcia Nantes Newport
    Nottingham Oslo Ostrava Oulu Padua Palermo Parma Perth Pilsen Porto Potsdam Quebec Raleigh Ravenna Rennes
    Rostock Salem Seville Siena Split Tampere Toledo Toulouse Trieste Tucson Turin Uppsala Utrecht Valencia Verona
    Winnipeg Worcester York Zagreb Zaragoza
    """
)
STREETS = _words(
    """
    Acacia Alder Amber Apple Arbor Ash Aspen Autumn Beech Birch Blossom Bluebell Bramble Brook Canal Candle Castle
    Cedar Chapel Cherry Chestnut Clover Copper Coral Cypress Daisy Elder Elm Falcon Fern Fir Forge Fountain
    Foxglove Garden Granite Harbor Hawthorn Hazel Heather Holly Ivy Jasmine Juniper Laburnum Larch Laurel Lavender
    Lilac Lime Linden Lupin Magnolia Maple Meadow Mill Mulberry Myrtle Oak Olive Orchard Palm Pear Pine Plum Poplar
    Poppy Primrose Quarry Rosemary Rowan Saffron Sage Sorrel Spruce Sycamore Tamarind Thistle Thyme Tulip Valley
    Vine Violet Walnut Willow Yew
    """
)
KEPT = frozenset(
    _words(
        """
    a al am and at av av. avenue bin block blvd boulevard box building by c/o calle city court da das de de' del
    della den der di dos dpo dr dr. drive du east el flat floor for fpo from gmbh house in inc jr jr. la lane las
    le les llc ltd miss mr mr. mrs mrs. ms ms. no north number of ost p.o. piazza place plaza po post postal prof
    prof. psc rd rd. road room rua rue san santa sir south sq square sr st st. ste straat strada strasse straße
    street suite the to ulica unit van via von west with y zip
    """
    )
)
"""Small words and kinds of street that name nobody."""
ALSO_WORDS = frozenset(
    _words(
        """
    april art august baker bell bill black brown buck bush carol chance christian church cook dale dawn dean drew
    faith field fields fisher ford forest frank gene glen good grace grant gray green guy hall harmony heath hill
    holiday hope hunter jack jean joy june king lane law long love major mark mason may miles mills more noble page
    paris park pat pearl penny price prince ray reed rich rob rock rose rusty sandy sky smith star stone storm
    summer sun sunny tanner temple time tree trip turner victoria violet wall ward water way west white will wise
    wood woods woody young
    """
    )
)
"""Names that are words too: they are replaced in the letters in which they stood as a name, and in no others."""
