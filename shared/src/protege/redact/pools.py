"""The words that surrogates are drawn from: common given names, surnames, cities and streets of many countries."""

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
        a allee am and apartment apt at av av. ave avenue bin block blvd boulevard box building by c/o calle cir city
        court ct da das de de' del della den der di dos dpo dr dr. drive du east el flat floor for fpo from gmbh highway
        house hwy in inc jr jr. la lane las le les llc ln los ltd miss mr mr. mrs mrs. ms ms. no north number of ost
        p.o. piazza pkwy pl place platz plaza po post postal prof prof. psc rd rd. road room rua rue san santa sir south
        sq square sr st st. ste str straat strada strasse straße street suite ter the to trl ulica unit van via von weg
        west with y zip
        """
    )
)
"""Small words and kinds of street that name nobody."""
SHORT_WORDS = frozenset(
    _words("ad ai an as be do eu ex go he hi hr id if is it me my oh ok on or pc pm qa re so tv uk up us vs we")
)
"""Of two letters, and no name, save within a longer one."""
ALSO_WORDS = frozenset(
    _words(
        """
        amber angel apple april arch archer arm art ash august autumn back baker bank banks barn base bath bay beach
        bear bell bend berry best big bill bird bishop black bloom blossom blue bond book bow branch bridge bright brook
        brown buck buffalo bush butler canal candle car care carol carpenter carter case cash castle cedar center
        central centre chance chapel charity chase cherry chestnut chief christian church circle clark clay clear close
        club coach coal coast college commerce commercial common contact cook cool cooper copper coral cork corner
        country county cove creek cross crossing crown crystal dale data dawn day dean deer destiny dock dollar drew
        drum duke dust eagle early earth easter elder elm end english eve event exchange express face fair fairy faith
        falcon fall falls farm fern ferry field fields fifth fir fire first fish fisher five flag flower foot ford
        forest forge fort fortune fountain four fourth fox frank free freedom freeman french friend front frost future
        garden gardens gate gene general gentle gift glass glen gold golden good grace grand granite grant grape grass
        gray great green grey ground grove guy hall hand harbor harbour hardy harmony harvest hawk hazel head heart
        heath heather high hill hills holiday holly hope horn hospital hotel hunt hunter hunting independence industrial
        industry institute iris iron island ivy jack jade jasmine jay jean joy judge july junction june just justice key
        king kings knight lake lamb land lane large lark laurel lavender law leaf lee liberty light lily lime lion
        little loan local long loop love low lower lucky magnolia main major manor maple marble march mark market marsh
        mason may meadow memorial mercy miles mill miller mills mint mission mobile model monday money moon more morning
        moss mount mountain museum music nation national new nice night noble nor oak ocean office old olive one open
        opera orange orchard order page palace palm paper parade paris park parker parks parkway party pat path patience
        peace peach pear pearl penny phoenix pike pine pioneer plain player pleasant plum point pole pond pool pope
        poplar poppy port porter potter power prairie premier presidential price prince princess progress prospect
        public quarry queen race rail railroad railway rain rainbow ranch range rapids ray reading red reed reservoir
        rich ridge ring rise river rivers road roads rob robin rock rocky root rose rosemary round row royal ruby rush
        rusty sage sail saint sale sand sandy savage scholar school science scout sea seal second service seven seventh
        shade shadow sharp shepherd ship shop shore short side silver singer single six sixth sky small smith snow
        spring springs spruce square stage star state station steel sterling stone storm strand strange stream street
        strong sue summer summit sun sunday sunny sunrise sunset swan sweet tailor tanner taylor temple ten terminal
        terrace third thorn three thyme time top tower town trade trail transit tree trinity trip trout tulip turner
        twin two under union unity university upper vale valley victor victoria victory view villa village vine violet
        vista walk walker wall walnut ward warm water waters way weaver welcome well wells west white wild will willow
        wind winter wise wolf wood woods woody world worth wright yard yellow young
        """
    )
)
"""Names of people and places that are ordinary words too: they are replaced only in the case in which they occurred as
a name."""
