"""SQL: pairs that are the same though written differently, and that differ though they look alike."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
import time

import pytest
from protege.call import Request
from protege.evaluate.graders import Grader, Sql
from protege.evaluate.graders.sql import execution, parsing
from protege.evaluate.graders.sql.execution import same_rows
from protege.evaluate.graders.sql.one_place import one_place
from protege.evaluate.graders.sql.schema import schema_in

TABLES = """You answer with one query. The tables:

CREATE TABLE dept (
    id INTEGER PRIMARY KEY,
    title VARCHAR(20) NOT NULL, -- shown (as is)
    city TEXT
);
CREATE TABLE IF NOT EXISTS emp (
    id INTEGER NOT NULL,
    name TEXT NOT NULL,
    dept_id INT REFERENCES dept(id),
    salary DECIMAL(10, 2),
    hired DATE,
    boss_id INTEGER,
    PRIMARY KEY (id),
    FOREIGN KEY (boss_id) REFERENCES emp(id)
);
How many employees work in Paris?"""


def asked(text: str = TABLES) -> Grader:
    return Sql().for_request(Request(({"role": "user", "content": text},)))


# Certain: what is known of SQL is enough.
SAME_FORM = [
    ("SELECT a FROM t", "select a\n  from t;"),
    ("SELECT A FROM T", "SELECT a FROM t"),
    ("SELECT count(*) FROM t WHERE year  =  1980;", "select COUNT( * ) from T where YEAR=1980"),
    ("SELECT a FROM t WHERE b <> 'x'", "SELECT a FROM t WHERE b != 'x'"),
    ("SELECT a FROM t -- why\n", "SELECT a FROM t"),
    ("/* first */ SELECT a FROM t", "SELECT a FROM t"),
    ("SELECT t1.a FROM t AS t1", "SELECT T1.a FROM t T1"),
    ("SELECT a FROM t WHERE x = 'It''s'", "select a from t where x='It''s'"),
    ("SELECT x.a FROM t AS x", "SELECT t.a FROM t"),
    ("SELECT t.a FROM t WHERE t.b = 1", "SELECT a FROM t WHERE b = 1"),
    ("SELECT t.* FROM t", "SELECT * FROM t"),
    ("SELECT a FROM t WHERE b = 1 AND c = 2", "SELECT a FROM t WHERE c = 2 AND b = 1"),
    ("SELECT a FROM t WHERE b = 1 OR c = 2", "SELECT a FROM t WHERE c = 2 OR b = 1"),
    ("SELECT a FROM t WHERE b = 1 AND (c = 2 AND d = 3)", "SELECT a FROM t WHERE (d = 3 AND b = 1) AND c = 2"),
    ("SELECT a FROM t WHERE (b = 1)", "SELECT a FROM t WHERE b = 1"),
    ("SELECT (a) FROM t WHERE ((b) = (1))", "SELECT a FROM t WHERE b = 1"),
    ("SELECT a FROM t WHERE (b = 1 AND c = 2) OR d = 3", "SELECT a FROM t WHERE d = 3 OR b = 1 AND c = 2"),
    ("SELECT a FROM t WHERE 1 = b", "SELECT a FROM t WHERE b = 1"),
    ("SELECT a FROM t WHERE 5 < b", "SELECT a FROM t WHERE b > 5"),
    ("SELECT a FROM t WHERE b >= c", "SELECT a FROM t WHERE c <= b"),
    ("SELECT a FROM t WHERE NOT b = 1", "SELECT a FROM t WHERE b <> 1"),
    ("SELECT a FROM t WHERE NOT (b < 1)", "SELECT a FROM t WHERE b >= 1"),
    ("SELECT a FROM t WHERE NOT b IN (1, 2)", "SELECT a FROM t WHERE b NOT IN (1, 2)"),
    ("SELECT a FROM t WHERE NOT b IS NULL", "SELECT a FROM t WHERE b IS NOT NULL"),
    ("SELECT a FROM t WHERE b BETWEEN 1 AND 5", "SELECT a FROM t WHERE b <= 5 AND b >= 1"),
    ("SELECT a FROM t WHERE b IN (1, 2)", "SELECT a FROM t WHERE b IN (2, 1)"),
    ("SELECT a FROM t WHERE b IN ('x', 'y')", "SELECT a FROM t WHERE b = 'y' OR b = 'x'"),
    ("SELECT a FROM t WHERE b IN (1)", "SELECT a FROM t WHERE b = 1"),
    ("SELECT a FROM t WHERE b = 1 AND b = 1", "SELECT a FROM t WHERE b = 1"),
    ("SELECT a FROM t JOIN u ON t.i = u.i", "SELECT a FROM t INNER JOIN u ON u.i = t.i"),
    ("SELECT t.a FROM t, u WHERE t.i = u.i", "SELECT t.a FROM t JOIN u ON t.i = u.i"),
    ("SELECT t.a FROM t JOIN u ON t.i = u.i", "SELECT t.a FROM u JOIN t ON t.i = u.i"),
    ("SELECT x.a FROM t x JOIN u y ON x.i = y.i WHERE y.b = 2", "SELECT t.a FROM u, t WHERE u.b = 2 AND t.i = u.i"),
    ("SELECT a FROM t LEFT JOIN u ON t.i = u.i", "SELECT a FROM t LEFT OUTER JOIN u ON u.i = t.i"),
    ("SELECT a FROM t CROSS JOIN u", "SELECT a FROM t, u"),
    ("SELECT p.a, q.a FROM t p JOIN t q ON p.i = q.j", "SELECT l.a, r.a FROM t AS l JOIN t AS r ON r.j = l.i"),
    ("SELECT a, count(*) FROM t GROUP BY a, b", "SELECT a, COUNT(*) FROM t GROUP BY b, a"),
    ("SELECT count(1) FROM t", "SELECT count(*) FROM t"),
    ("SELECT count(*) AS n FROM t", "SELECT count(*) FROM t"),
    ("SELECT a AS first, b AS second FROM t", "SELECT a, b FROM t"),
    ("SELECT a FROM t ORDER BY b ASC", "SELECT a FROM t ORDER BY b"),
    ("SELECT a FROM t ORDER BY b LIMIT 3, 5", "SELECT a FROM t ORDER BY b LIMIT 5 OFFSET 3"),
    ("SELECT a FROM t UNION DISTINCT SELECT b FROM u", "SELECT a FROM t UNION SELECT b FROM u"),
    ("SELECT foo(a) FROM t", "SELECT FOO(a) FROM t"),
    ("SELECT CAST(a AS INTEGER) FROM t", "SELECT a::int FROM t"),
    ("SELECT `a b` FROM t", "SELECT [a b] FROM t"),
    ("INSERT INTO t (a) VALUES (1)", "insert into T(A) values(1);"),
]
DIFFERENT_FORM = [
    ("SELECT a FROM t", "SELECT b FROM t"),
    ("SELECT a FROM t", "SELECT a FROM u"),
    ("SELECT a FROM t WHERE x = 'A'", "SELECT a FROM t WHERE x = 'a'"),
    ("SELECT a FROM t WHERE x = '1'", "SELECT a FROM t WHERE x = 1"),
    ("SELECT a FROM t WHERE x < 1", "SELECT a FROM t WHERE x <= 1"),
    ("SELECT a FROM t WHERE x < y", "SELECT a FROM t WHERE y < x"),
    ("SELECT a FROM t WHERE NOT x < 1", "SELECT a FROM t WHERE x > 1"),
    ("SELECT DISTINCT a FROM t", "SELECT a FROM t"),
    ("SELECT a FROM t ORDER BY a", "SELECT a FROM t ORDER BY a DESC"),
    ("SELECT a FROM t ORDER BY a", "SELECT a FROM t"),
    ("SELECT a FROM t ORDER BY a, b", "SELECT a FROM t ORDER BY b, a"),
    ("SELECT a FROM t ORDER BY a", "SELECT a FROM t ORDER BY a NULLS FIRST"),
    ("SELECT a, b FROM t", "SELECT b, a FROM t"),
    ("SELECT a AS b, b AS c FROM t ORDER BY b", "SELECT a, b FROM t ORDER BY b"),
    ("SELECT a FROM t WHERE x = 'a  b'", "SELECT a FROM t WHERE x = 'a b'"),
    ("SELECT a FROM t JOIN u ON t.i = u.i", "SELECT a FROM t LEFT JOIN u ON t.i = u.i"),
    ("SELECT a FROM t LEFT JOIN u ON t.i = u.i", "SELECT a FROM u LEFT JOIN t ON t.i = u.i"),
    ("SELECT a FROM t LEFT JOIN u ON t.i = u.i AND u.b = 1", "SELECT a FROM t LEFT JOIN u ON t.i = u.i WHERE u.b = 1"),
    ("SELECT * FROM t JOIN u ON t.i = u.i", "SELECT * FROM u JOIN t ON t.i = u.i"),
    ("SELECT p.a FROM t p JOIN t q ON p.i = q.j", "SELECT q.a FROM t p JOIN t q ON p.i = q.j"),
    ("SELECT a FROM t JOIN u USING (i)", "SELECT a FROM t JOIN u USING (j)"),
    ("SELECT a FROM t NATURAL JOIN u", "SELECT a FROM t CROSS JOIN u"),
    ("SELECT a FROM t WHERE b = 1 AND c = 2 OR d = 3", "SELECT a FROM t WHERE b = 1 AND (c = 2 OR d = 3)"),
    ("SELECT a FROM t WHERE b = 1 AND c = 2", "SELECT a FROM t WHERE b = 1 OR c = 2"),
    ("SELECT a - (b - c) FROM t", "SELECT a - b - c FROM t"),
    ("SELECT (a + b) * c FROM t", "SELECT a + b * c FROM t"),
    ("SELECT a FROM t WHERE b = ANY (SELECT c FROM u)", "SELECT a FROM t WHERE NOT b <> ANY (SELECT c FROM u)"),
    ("SELECT a FROM t WHERE b IN (1, 2)", "SELECT a FROM t WHERE b IN (1, 3)"),
    ("SELECT a FROM t WHERE b IN (1, 2)", "SELECT a FROM t WHERE b NOT IN (1, 2)"),
    ("SELECT a FROM t WHERE b BETWEEN 1 AND 5", "SELECT a FROM t WHERE b > 1 AND b < 5"),
    ("SELECT count(a) FROM t", "SELECT count(*) FROM t"),
    ("SELECT count(DISTINCT a) FROM t", "SELECT count(a) FROM t"),
    ("SELECT max(a) FROM t", "SELECT min(a) FROM t"),
    ("SELECT a FROM t GROUP BY a HAVING count(*) > 1", "SELECT a FROM t GROUP BY a"),
    ("SELECT a FROM t LIMIT 1", "SELECT a FROM t LIMIT 10"),
    ("SELECT a FROM t UNION SELECT b FROM u", "SELECT a FROM t UNION ALL SELECT b FROM u"),
    ("SELECT a FROM t EXCEPT SELECT b FROM u", "SELECT b FROM u EXCEPT SELECT a FROM t"),
    ("SELECT a FROM t WHERE x = 'y'", 'SELECT a FROM t WHERE x = "y"'),
    ("SELECT a FROM t WHERE x = 'y'", "SELECT a FROM t WHERE x = y"),
    ("SELECT a FROM t AS x(a, b)", "SELECT a FROM t"),
    ("SELECT a FROM t; DROP TABLE t", "SELECT a FROM t"),
    ("SELECT x FROM t x", "SELECT x FROM t"),
    ("SELECT a FROM t WHERE b IN ('x', NULL)", "SELECT a FROM t WHERE b = 'x'"),
    ("SELECT a FROM t WHERE b NOT IN (1, NULL)", "SELECT a FROM t WHERE b <> 1"),
    ("SELECT a FROM t GROUP BY ROLLUP(a, b)", "SELECT a FROM t GROUP BY ROLLUP(b, a)"),
    ("SELECT t.a FROM t, LATERAL (SELECT 1) u WHERE t.a=1", "SELECT t.a FROM LATERAL (SELECT 1) u, t WHERE t.a=1"),
    ("SELECT a FROM t WHERE b BETWEEN SYMMETRIC 5 AND 1", "SELECT a FROM t WHERE b BETWEEN 5 AND 1"),
    ("SELECT a FROM t TABLESAMPLE (10 PERCENT)", "SELECT a FROM t"),
    ("SELECT a FROM t FOR UPDATE", "SELECT a FROM t"),
    ("SELECT COUNT(DISTINCT 1) FROM t", "SELECT COUNT(*) FROM t"),
    ("SELECT COUNT(NULL) FROM t", "SELECT COUNT(*) FROM t"),
    ("SELECT sum(a) OVER (ORDER BY b) FROM t", "SELECT sum(a) OVER (ORDER BY b DESC) FROM t"),
    ("SELECT a FROM t WHERE b = 1.0", "SELECT a FROM t WHERE b = 1"),
    ("SELECT a FROM t WHERE b LIKE 'x' ESCAPE '!'", "SELECT a FROM t WHERE b LIKE 'x'"),
    ("SELECT a FROM db1.t", "SELECT a FROM db2.t"),
    ("SELECT x.a FROM db1.t x, db2.t y WHERE x.i=y.i", "SELECT y.a FROM db1.t x, db2.t y WHERE x.i=y.i"),
    (
        "SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.i = t.i)",
        "SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.i = u.i)",
    ),
    (
        "SELECT a FROM t AS x JOIN t AS y ON x.i = y.i WHERE x.b = 1",
        "SELECT a FROM t AS x JOIN t AS y ON x.i = y.i WHERE y.b = 1",
    ),
    ("SELECT FIRST_VALUE(a) FROM t", "SELECT LAST_VALUE(a) FROM t"),
    ("SELECT a FROM t ORDER BY 1", "SELECT a FROM t ORDER BY 2"),
    ("SELECT TOP 3 a FROM t", "SELECT a FROM t"),
    ("SELECT a FROM t FETCH FIRST 3 ROWS ONLY", "SELECT a FROM t FETCH FIRST 3 ROWS WITH TIES"),
    ("WITH RECURSIVE x AS (SELECT 1) SELECT * FROM x", "WITH x AS (SELECT 1) SELECT * FROM x"),
    ("SELECT a COLLATE NOCASE FROM t", "SELECT a FROM t"),
    ("SELECT a FROM t WHERE x IS NOT DISTINCT FROM y", "SELECT a FROM t WHERE x = y"),
    ("SELECT a FROM t WHERE NOT (x IS TRUE)", "SELECT a FROM t WHERE x IS FALSE"),
    ("SELECT INTERVAL '1' DAY", "SELECT INTERVAL '1' MONTH"),
    ("SELECT a FROM t WHERE x = 'a' 'b'", "SELECT a FROM t WHERE x = 'a'"),
    ("SELECT a, max(b) AS m FROM t GROUP BY a HAVING m > 1", "SELECT a, max(b) FROM t GROUP BY a HAVING m > 1"),
    ("SELECT a FROM t LEFT SEMI JOIN u ON t.i = u.i", "SELECT a FROM t LEFT JOIN u ON t.i = u.i"),
    ("SELECT a FROM t JOIN u ON t.i = u.i OR t.j = u.j", "SELECT a FROM t JOIN u ON t.i = u.i AND t.j = u.j"),
    ("SELECT a FROM t STRAIGHT_JOIN u", "SELECT a FROM t WHERE u"),
    ("SELECT JSON_EXTRACT(a, '$.x') FROM t", "SELECT JSON_EXTRACT(a, '$.y') FROM t"),
    ("SELECT a->'x' FROM t", "SELECT a->>'x' FROM t"),
    ("SELECT t.a.b FROM t", "SELECT a.b FROM t"),
    ("UPDATE t SET a = 1 WHERE b = 2", "UPDATE t SET b = 1 WHERE a = 2"),
    ("INSERT INTO t (a, b) VALUES (1, 2)", "INSERT INTO t (b, a) VALUES (1, 2)"),
    ("SELECT substr(a, 1, 2) FROM t", "SELECT substr(a, 2, 1) FROM t"),
    ("SELECT round(a) FROM t", "SELECT round(a, 1) FROM t"),
    ("SELECT a FROM t WHERE b ILIKE 'x'", "SELECT a FROM t WHERE b LIKE 'x'"),
    ("SELECT a FROM t WHERE x > ALL (SELECT y FROM u)", "SELECT a FROM t WHERE NOT x <= ALL (SELECT y FROM u)"),
    ("SELECT a FROM t WHERE x > ANY (SELECT y FROM u)", "SELECT a FROM t WHERE NOT x <= ANY (SELECT y FROM u)"),
    ("SELECT DISTINCT ON (a) b FROM t", "SELECT DISTINCT b FROM t"),
    ("SELECT a FROM t1, t2 LEFT JOIN t3 ON t2.i=t3.i", "SELECT a FROM t2, t1 LEFT JOIN t3 ON t2.i=t3.i"),
    ("SELECT a FROM t", "SELECT a FROM t WHERE 1 = 1"),
    ("DELETE FROM t WHERE a = 1", "SELECT * FROM t WHERE a = 1"),
    ("DELETE FROM t WHERE a = 1", "DELETE FROM t"),
    ("I cannot write that", "SELECT a FROM t"),
    ("I cannot write that", "I cannot write this"),
    ("", "SELECT a FROM t"),
]
# Evidence: the tables of the request are known.
SAME_ROWS = [
    (
        "SELECT count(*) FROM emp JOIN dept ON emp.dept_id = dept.id WHERE city = 'Paris'",
        "SELECT count(*) FROM emp WHERE dept_id IN (SELECT id FROM dept WHERE city = 'Paris')",
    ),
    ("SELECT DISTINCT city FROM dept", "SELECT city FROM dept GROUP BY city"),
    ("SELECT name FROM emp WHERE NOT (salary > 3 AND id = 2)", "SELECT name FROM emp WHERE salary <= 3 OR id <> 2"),
    (
        "SELECT dept_id, avg(salary) FROM emp GROUP BY 1",
        "SELECT dept_id, 1.0 * sum(salary) / count(salary) FROM emp GROUP BY dept_id",
    ),
    (
        "SELECT d.title, count(e.id) FROM dept d LEFT JOIN emp e ON e.dept_id = d.id GROUP BY d.id, d.title",
        "SELECT title, (SELECT count(*) FROM emp WHERE emp.dept_id = dept.id) FROM dept",
    ),
    (
        "SELECT title FROM dept WHERE city = 'Rome' UNION ALL SELECT title FROM dept WHERE city = 'Oslo'",
        "SELECT title FROM dept WHERE city IN ('Oslo', 'Rome')",
    ),
    (
        "SELECT name FROM emp WHERE hired >= '2020-01-01' AND hired < '2021-01-01'",
        "SELECT name FROM emp WHERE strftime('%Y', hired) = '2020'",
    ),
    ("SELECT coalesce(city, 'none') FROM dept", "SELECT CASE WHEN city IS NULL THEN 'none' ELSE city END FROM dept"),
    ('SELECT "name" FROM "emp"', "SELECT name FROM emp"),
]
# They mean the same, but part in one place, or one has nothing that the other has not: rows are no evidence.
ONE_PLACE = [
    ("SELECT DISTINCT id FROM emp", "SELECT id FROM emp"),
    ("SELECT count(id) FROM emp", "SELECT count(*) FROM emp"),
    ("SELECT name FROM emp WHERE salary > 3", "WITH x AS (SELECT * FROM emp WHERE salary > 3) SELECT name FROM x"),
    ("SELECT name FROM emp ORDER BY id", "SELECT name FROM emp ORDER BY emp.id + 0"),
    ("SELECT name FROM emp WHERE id >= 4", "SELECT name FROM emp WHERE id > 3"),
    ("SELECT count(DISTINCT id) FROM emp", "SELECT count(*) FROM emp"),
    ("SELECT DISTINCT max(salary) FROM emp", "SELECT max(salary) FROM emp"),
    ("SELECT name FROM emp ORDER BY id LIMIT 1000000", "SELECT name FROM emp ORDER BY id"),
    ("SELECT dept_id + salary FROM emp", "SELECT salary + dept_id FROM emp"),
    ("SELECT name FROM emp WHERE id <> 2", "SELECT name FROM emp WHERE id <> 2 AND id IS NOT NULL"),
    ("SELECT name FROM emp WHERE id BETWEEN 2 AND 4", "SELECT name FROM emp WHERE id >= 2 AND id < 5"),
    (
        "SELECT x.name FROM emp x JOIN dept y ON x.dept_id = y.id WHERE y.city = 'Oslo'",
        "SELECT e.name FROM emp e LEFT JOIN dept d ON e.dept_id = d.id WHERE d.city = 'Oslo'",
    ),
    (
        "SELECT e.name FROM emp e JOIN dept d ON e.dept_id = d.id WHERE e.salary > 3",
        "SELECT e.name FROM emp e, dept d WHERE d.id = e.dept_id AND e.salary > 3 AND d.title IS NOT NULL",
    ),
]
# In several places, and hard to see: few rows of which a condition that is gone leaves out the greatest, and the like.
DIFFERENT_ROWS = [
    ("SELECT max(salary) FROM emp WHERE dept_id < 2000", "SELECT DISTINCT max(salary) FROM emp"),
    (
        "SELECT city FROM dept GROUP BY city ORDER BY count(*) DESC LIMIT 1",
        "SELECT DISTINCT city FROM dept GROUP BY city ORDER BY count(city) DESC LIMIT 1",
    ),
    (
        "SELECT count(*) FROM dept d JOIN emp e ON d.id = e.dept_id GROUP BY d.id HAVING count(*) > 20",
        "SELECT count(e.dept_id) FROM dept d JOIN emp e ON d.id = e.dept_id GROUP BY d.id HAVING count(*) > 21",
    ),
    ("SELECT DISTINCT count(name) FROM emp WHERE salary >= 9", "SELECT count(*) FROM emp WHERE salary > 9"),
    ("SELECT max(salary) FROM emp", "SELECT salary FROM emp WHERE salary IS NOT NULL ORDER BY salary DESC LIMIT 1"),
    ("SELECT avg(dept_id) FROM emp", "SELECT sum(dept_id) / count(dept_id) FROM emp"),
    ("SELECT e.name FROM dept d JOIN emp e ON e.dept_id = d.id", "SELECT name FROM emp JOIN dept USING (id)"),
    ("SELECT name FROM emp", "SELECT name FROM emp JOIN dept ON emp.dept_id = dept.id"),
    ("SELECT name FROM emp", "SELECT DISTINCT name FROM emp"),
    ("SELECT name FROM emp WHERE salary > 10", "SELECT name FROM emp WHERE salary >= 10"),
    ("SELECT name FROM emp WHERE salary * 2 > 10", "SELECT name FROM emp WHERE salary * 2 >= 10"),
    ("SELECT name FROM emp WHERE hired > '2020-03-01'", "SELECT name FROM emp WHERE hired >= '2020-03-01'"),
    ("SELECT name FROM emp WHERE name LIKE 'A%'", "SELECT name FROM emp WHERE name LIKE '%A%'"),
    ("SELECT name FROM emp WHERE name LIKE 'Ann'", "SELECT name FROM emp WHERE name = 'Ann'"),
    ("SELECT name FROM emp WHERE length(name) > 7", "SELECT name FROM emp WHERE length(name) >= 7"),
    ("SELECT count(dept_id) FROM emp", "SELECT count(*) FROM emp"),
    ("SELECT sum(salary) FROM emp", "SELECT coalesce(sum(salary), 0) FROM emp"),
    ("SELECT avg(salary) FROM emp", "SELECT sum(salary) / count(*) FROM emp"),
    (
        "SELECT name FROM emp WHERE dept_id NOT IN (SELECT id FROM dept WHERE city = 'X')",
        "SELECT name FROM emp WHERE NOT EXISTS (SELECT 1 FROM dept WHERE dept.id = emp.dept_id AND city = 'X')",
    ),
    (
        "SELECT name FROM emp ORDER BY salary DESC LIMIT 1",
        "SELECT name FROM emp WHERE salary = (SELECT max(salary) FROM emp)",
    ),
    ("SELECT name FROM emp ORDER BY name", "SELECT name FROM emp ORDER BY name DESC"),
    ("SELECT name FROM emp ORDER BY id", "SELECT name FROM emp"),
    (
        "SELECT city, count(*) FROM dept GROUP BY city HAVING count(*) > 2",
        "SELECT city, count(*) FROM dept GROUP BY city HAVING count(*) >= 2",
    ),
    (
        "SELECT title FROM dept WHERE city = 'Rome' UNION SELECT title FROM dept WHERE city = 'Oslo'",
        "SELECT title FROM dept WHERE city IN ('Oslo', 'Rome')",
    ),
    (
        "SELECT d.title FROM dept d LEFT JOIN emp e ON e.dept_id = d.id",
        "SELECT d.title FROM dept d JOIN emp e ON e.dept_id = d.id",
    ),
    (
        "SELECT e.name, b.name FROM emp e JOIN emp b ON e.boss_id = b.id",
        "SELECT e.name, b.name FROM emp e JOIN emp b ON b.boss_id = e.id",
    ),
    ("SELECT title FROM dept WHERE city = 'Rome'", "SELECT title FROM dept WHERE city = 'rome'"),
    ("SELECT title FROM dept WHERE city = 'Rome'", 'SELECT title FROM dept WHERE city = "Rome"'),
    ("SELECT title FROM dept WHERE city = 'title'", 'SELECT title FROM dept WHERE city = "title"'),
    ("SELECT name FROM emp WHERE salary IS NULL", "SELECT name FROM emp WHERE salary = NULL"),
    ("SELECT name FROM emp LIMIT 3", "SELECT name FROM emp WHERE 1 LIMIT 3"),
    ("SELECT name FROM emp WHERE 1 = 0", "SELECT name FROM emp WHERE 1 = 2"),
    ("SELECT name, salary FROM emp", "SELECT salary, name FROM emp"),
    ("SELECT 1", "SELECT 1 + 0"),
    ("SELECT name FROM emp", "SELECT name FROM staff"),
    ("SELECT name FROM emp WHERE hired IS NOT NULL", "SELECT name FROM emp WHERE hired <> ''"),
]


@pytest.mark.parametrize(("answer", "teacher"), SAME_FORM)
def test_queries_that_are_certainly_the_same(answer: str, teacher: str) -> None:
    assert Sql().agree(answer, teacher) and Sql().agree(teacher, answer)
    assert Sql().score(answer, teacher) == 1


@pytest.mark.parametrize(("answer", "teacher"), DIFFERENT_FORM)
def test_queries_that_only_look_alike(answer: str, teacher: str) -> None:
    assert not Sql().agree(answer, teacher) and not Sql().agree(teacher, answer)
    assert Sql().score(answer, teacher) == 0


@pytest.mark.parametrize(("answer", "teacher"), SAME_ROWS)
def test_where_the_tables_are_known_equal_rows_are_enough(answer: str, teacher: str) -> None:
    assert asked().agree(answer, teacher) and asked().agree(teacher, answer)
    assert not Sql().agree(answer, teacher), "certain without the tables"


@pytest.mark.parametrize(("answer", "teacher"), ONE_PLACE)
def test_in_one_place_rows_are_not_asked(answer: str, teacher: str) -> None:
    assert not asked().agree(answer, teacher) and not asked().agree(teacher, answer)
    assert one_place(answer, teacher) and one_place(teacher, answer)


@pytest.mark.parametrize(
    "other", ["", "no query", "SELECT name FROM", f"SELECT {'(' * 3000}1{')' * 3000}", "SELECT 1" + " + 1" * 3000]
)
def test_what_is_not_read_is_no_other_way_of_writing(other: str) -> None:
    assert one_place(other, "SELECT name FROM emp") and one_place("SELECT name FROM emp", other)


@pytest.mark.parametrize(("answer", "teacher"), SAME_ROWS)
def test_another_way_of_writing_parts_in_several_places(answer: str, teacher: str) -> None:
    assert not one_place(answer, teacher)


@pytest.mark.parametrize(("answer", "teacher"), DIFFERENT_ROWS)
def test_the_rows_show_what_is_different(answer: str, teacher: str) -> None:
    assert not asked().agree(answer, teacher) and not asked().agree(teacher, answer)
    assert not same_rows(schema_in(TABLES), answer, teacher), "also where it is more than one place"


@pytest.mark.parametrize(("answer", "teacher"), DIFFERENT_FORM)
def test_without_sqlglot_nothing_more_agrees(answer: str, teacher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "installed", False)
    assert not asked("CREATE TABLE t (a INT, b INT)").agree(answer, teacher)


@pytest.mark.parametrize(("answer", "teacher"), SAME_FORM[:3])
def test_without_sqlglot_layout_does_not_count(answer: str, teacher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsing, "installed", False)
    assert Sql().agree(answer, teacher)


def test_the_grader_loads_where_sqlglot_is_not_installed() -> None:
    script = (
        "import sys; sys.modules['sqlglot'] = None; from protege.evaluate.graders import Sql;"
        " print(Sql().agree('SELECT  1', 'select 1'), Sql().agree('SELECT a+b', 'SELECT b+a'))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True", "False"]


def test_tables_are_read_from_create_statements_and_from_plain_lists() -> None:
    emp = next(table for table in schema_in(TABLES) if table.name == "emp")
    assert [column.name for column in emp.columns] == ["id", "name", "dept_id", "salary", "hired", "boss_id"]
    assert [column.required for column in emp.columns] == [True, True, False, False, False, False]
    assert emp.keys == (frozenset({"id"}),)
    assert {column.name: column.refers for column in emp.columns if column.refers} == {"dept_id": "id", "boss_id": "id"}
    assert next(column for column in emp.columns if column.name == "hired").date
    listed = schema_in("Schema (shop):\nItems(ItemId, Price)\norders(order_id, ItemId)\nJoins: a.b = c.d\n")
    assert [(table.name, [c.name for c in table.columns]) for table in listed] == [
        ("items", ["itemid", "price"]),
        ("orders", ["order_id", "itemid"]),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "CREATE TABLE",
        "CREATE TABLE t (",
        "CREATE TABLE t ()",
        "create table t (((((",
        "CREATE TABLE t (a INT, a INT)",
    ],
)
def test_what_is_no_table_is_left_out(text: str) -> None:
    assert schema_in(text) == ()


def test_a_table_that_is_defined_twice_is_left_out() -> None:
    assert [
        table.name for table in schema_in("CREATE TABLE t (a INT); CREATE TABLE u (a INT); CREATE TABLE T (b INT);")
    ] == ["u"]


def test_listed_tables_are_run_on_too() -> None:
    grader = asked("Tables:\nsinger(singer_id, name, age)\nsong(song_id, singer_id, title)")
    one = "SELECT name FROM singer WHERE singer_id IN (SELECT singer_id FROM song)"
    assert grader.agree(
        one, "SELECT s.name FROM singer s WHERE EXISTS (SELECT 1 FROM song WHERE song.singer_id = s.singer_id)"
    )
    assert not grader.agree(one, "SELECT name FROM singer JOIN song ON singer.singer_id = song.singer_id")


HOSTILE = [
    "SELECT load_extension('x')",
    "ATTACH DATABASE '/tmp/x' AS y",
    "PRAGMA table_info(emp)",
    "SELECT name FROM emp; DROP TABLE emp",
    "SELECT name FROM sqlite_master",
    "SELECT name FROM pragma_table_list",
    "DELETE FROM emp",
    "INSERT INTO emp SELECT * FROM emp",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
    "SELECT count(*) FROM emp a, emp b, emp c, emp d, emp e, emp f, emp g, emp h, emp i, emp j, emp k",
    "SELECT hex(zeroblob(1000000000)) FROM emp",
    "SELECT replace(hex(zeroblob(900)), '0', '00') FROM emp",
    "SELECT printf('%.*c', 1000000000, 'x') FROM emp",
    "SELECT random() FROM emp",
    "SELECT writefile('/tmp/x', 'y') FROM emp",
    "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "SELECT name FROM emp WHERE " + " AND ".join(["id = 1"] * 20_000),
    "SELECT name FROM emp WHERE name LIKE '" + "%a" * 3000 + "'",
    "SELECT \0 FROM emp",
    "SELECT '\ud800' FROM emp",
]


@pytest.mark.parametrize("query", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_query_is_cut_short_and_different(query: str) -> None:
    began = time.process_time()
    assert not same_rows(schema_in(TABLES), query, "SELECT name FROM emp")
    assert not same_rows(schema_in(TABLES), query, f"{query} ")
    assert not asked().agree(query, "SELECT name FROM emp")
    assert time.process_time() - began < 20


def test_many_joins_are_stopped_by_steps() -> None:
    began = time.process_time()
    query = "SELECT count(*) FROM " + ", ".join(f"emp e{i}" for i in range(12))
    assert not same_rows(schema_in(TABLES), query, query + " WHERE 1")
    assert time.process_time() - began < 5


@pytest.mark.parametrize(("budget", "least"), [("SECONDS", 0.0), ("STEPS_OF_A_PAIR", 2_000)])
def test_a_pair_that_takes_too_much_is_different(monkeypatch: pytest.MonkeyPatch, budget: str, least: float) -> None:
    one, other = SAME_ROWS[0]
    monkeypatch.setattr(execution, "STEPS_A_LOOK", 10)
    assert asked().agree(one, other)
    monkeypatch.setattr(execution, budget, least)
    assert not asked().agree(one, other)


def test_how_fast_the_machine_is_changes_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1, 1_000_000))
    monkeypatch.setattr(execution.time, "thread_time", lambda: next(clock) * 0.02)  # each look takes 20 ms
    assert asked().agree(*SAME_ROWS[0])


@pytest.mark.parametrize("bound", ["STEPS", "STEPS_OF_A_PAIR"])
@pytest.mark.parametrize("column", ["dept_id", "salary"])
def test_a_slow_pair_is_cut_off_inside_a_query(monkeypatch: pytest.MonkeyPatch, column: str, bound: str) -> None:
    one = f"SELECT a.name FROM emp a, emp b, emp c WHERE NOT (a.{column} + b.{column} > 1)"
    other = f"SELECT a.name FROM emp c, emp b, emp a WHERE b.{column} + a.{column} <= 1"
    taken: list[int] = []
    exceeded = execution._Budget.exceeded

    def counted(budget: execution._Budget, steps: int = 0) -> bool:
        taken.append(steps)
        return exceeded(budget, steps)

    monkeypatch.setattr(execution._Budget, "exceeded", counted)
    asked().agree(one, other)
    assert sum(taken) > 100_000
    taken.clear()
    monkeypatch.setattr(execution, bound, 3_500)
    assert not asked().agree(one, other)
    assert taken[-1] == execution.STEPS_A_LOOK, "the last look was inside a query"
    assert 3_500 < sum(taken) < 10_000


@pytest.mark.parametrize(("tables", "same"), [(3, True), (4, False)])
def test_rows_are_not_asked_of_many_tables(tables: int, same: bool) -> None:
    joins = "".join(f" JOIN dept d{i} ON d{i}.id = e.dept_id" for i in range(2, tables))
    one = f"SELECT e.name FROM emp e JOIN dept d1 ON d1.id = e.dept_id{joins} WHERE NOT (e.id > 3 AND e.salary = 2)"
    assert asked().agree(one, one.replace("NOT (e.id > 3 AND e.salary = 2)", "e.id <= 3 OR e.salary <> 2")) is same


def test_other_databases_of_the_process_are_left_as_they_are() -> None:
    database = sqlite3.connect(":memory:")
    asked().agree("SELECT name FROM emp", "SELECT title FROM dept")
    database.execute("CREATE TABLE t (a)")
    assert database.execute("SELECT zeroblob(1000000)").fetchone()


def test_no_query_reaches_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    asked("CREATE TABLE secret (a INT) SOMETHING ODD (b, c); CREATE TABLE odd (a INT, 1 2 3)").agree(
        "WITH x AS (SELECT secret) EXPLODE x", "SELECT secret FROM secret QUALIFY"
    )
    assert "secret" not in caplog.text.lower()
    logging.getLogger("sqlglot").warning("others are heard")
    assert "others are heard" in caplog.text
