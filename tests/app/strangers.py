"""Data of strangers, each of another shape, and the tools that a server over them would offer, without the server."""

import csv
import io
from decimal import Decimal
from pathlib import Path

import duckdb

from agents.base import Finding
from app.stand_in.results import Result
from app.stand_in.tables import answers
from app.stand_in.turns import Answer
from app.stand_in.wire import Call

NAMES = """order_date,country,product,category,channel,segment,customer_id,customer,order_id,units,revenue_eur
2023-01-05,Germany,A,Toys,Web,B2B,c1,Anna,o1,1,100.00
2023-06-05,France,B,Toys,Shop,B2C,c2,Ben,o2,2,200.00
2024-01-05,Germany,A,Games,Web,B2B,c1,Anna,o3,3,300.00
2024-02-05,France,B,Games,Shop,B2C,c2,Ben,o4,4,400.00
2024-12-05,Germany,In,Games,Web,B2B,c3,By Design Ltd,o5,5,500.00
"""
SHORT_NAMES = """order_date,country,product,category,channel,segment,customer_id,customer,order_id,units,revenue_eur
2024-01-05,Germany,Skirt,Bottom,Web,New,c1,Anna,o1,1,100.00
2024-02-05,France,Shirt,Top,Shop,Returning,c2,Ben,o2,2,50.00
2024-03-05,Germany,Shirt,Top,Web,New,c3,Carl,o3,3,20.00
"""
STATES = ["California", "New York", *(f"State {at}" for at in range(45))]
MANY = "day,state,units,revenue\n" + "\n".join(f"2024-01-01,{each},1,{104 + at}" for at, each in enumerate(STATES))
ORDERS = """order_no,ordered,shipped,customer,city,product,status,quantity,unit_price,amount
O1,2023-01-05,2023-02-01,March Ltd,Porto Alegre,Mug,paid,2,10.00,20.00
O1,2023-01-05,2023-02-01,March Ltd,Porto Alegre,Tea Pot,paid,1,30.00,30.00
O2,2023-05-02,2023-05-04,Total Care,Lyon,Mug,returned,5,10.00,50.00
O3,2024-03-01,2024-03-09,Acme Ltd.,Lyon,Order Book,new,1,7.50,7.50
O4,2024-03-15,2024-04-01,March Ltd,Porto Alegre,Tea Pot,in progress,3,30.00,90.00
O5,2024-07-01,2024-07-02,Top,Berlin,Mug,paid,4,11.00,44.00
O6,2024-08-01,2024-08-02,,Lyon,Mug,paid,1,11.00,11.00
"""
MEMBERS = """member_id,name,plan,club,birth_date,joined_on,left_on,monthly_fee,visits,active
1,Ada,Basic,North,1980-01-01,2023-01-10,,20,5,true
2,Ben,Pro,North,1990-01-01,2023-05-10,2024-02-01,50,40,false
3,Cy,Pro,South,1985-01-01,2024-01-15,,50,70,true
4,Dee,Plus,South,2001-01-01,2024-06-01,2024-09-01,30,0,false
5,Eve,Basic,North,1999-01-01,2024-06-30,,20,70,true
"""
READINGS = """measured_at,sensor,room,temperature_c,humidity_pct,status
2024-03-01 00:00:00,s1,1,20.0,40,ok
2024-03-01 12:00:00,s2,2,22.5,45,ok
2024-03-02 00:00:00,s1,1,18.0,50,fault
2024-04-02 00:00:00,s2,3,25.5,55,ok
2024-04-02 12:00:00,s3,3,-1.25,60,fault
"""
GRADES = """schueler,fach,klasse,note,datum,lehrkraft
Jörg,Deutsch,5a,1,2023-11-01,Frau Groß
Jörg,Sport,5a,2.5,2024-02-01,Herr Núñez
Mia,Deutsch,5b,3,2024-02-01,Frau Groß
Mia,Sport,5b,2,2024-05-01,Herr Núñez
Ole,Deutsch,5b,5,2024-05-01,Frau Groß
"""
TICKETS = """ticket_id,created_at,resolved_at,state,priority,agent,channel,minutes_to_answer
T-1,2023-12-30,2024-01-02,closed,low,Mia,Web,30
T-2,2024-01-05,,open,high,Total,Mail,5
T-3,2024-01-20,2024-03-03,closed,high,By,Web,600
T-4,2024-03-01,,in progress,low,Total,Mail,45
T-5,2024-03-09,2024-03-10,closed,low,Mia,Web,15
"""
TURNOVER = """auftragsnummer,bestelldatum,kunde,artikel,menge,umsatz_eur,bundesland
1,2023-04-01,Müller GmbH,Stuhl,2,100.50,Bayern
2,2024-01-01,Schmidt AG,Tisch,1,300.00,Hessen
3,2024-02-01,Müller GmbH,Tisch,1,310.25,Bayern
"""
ODD = """id,date,amount_currency,amount,order,select,my group (new)
1,2023-01-01,EUR,10,x,a,1
2,2024-01-01,USD,20.5,x,b,2
3,2024-02-01,USD,33,y,a,1
4,2024-03-01,EUR,5,y,b,2
"""
BUDGET = """year,team,cost
2023,Red,10
2024,Red,20
2024,Blue,5
"""
TABLES = {
    "names": {"sales": NAMES},
    "short names": {"sales": SHORT_NAMES},
    "more than 40 values": {"sales": MANY},
    "shop": {"orders": ORDERS},
    "gym": {"members": MEMBERS},
    "sensors": {"readings": READINGS},
    "school": {"noten": GRADES},
    "tickets": {"tickets": TICKETS},
    "german": {"umsaetze": TURNOVER},
    "odd": {"payments": ODD},
    "years": {"budget": BUDGET},
    "two": {"orders": ORDERS, "tickets": TICKETS},
    "twins": {"orders": ORDERS, "offers": ORDERS},
}
CURRENCIES = {"amount": "currency: in amount_currency", "revenue": "original name: Revenue; currency: USD"}
MOST_ROWS, MOST_LISTED = 200, 40


class Strangers:
    """Tables in memory, asked as the policy asks: described, looked into, queried."""

    def __init__(self, name: str, folder: Path) -> None:
        self._database = duckdb.connect()
        self._notes = CURRENCIES if name in {"odd", "more than 40 values"} else {}
        for table, text in TABLES[name].items():
            (folder / f"{table}.csv").write_text(text, encoding="utf-8")
            self._database.execute(f"CREATE TABLE {table} AS SELECT * FROM read_csv('{folder}/{table}.csv')")
        self.asked: list[str] = []

    def ask(self, question: str) -> tuple[list[Finding], list[str]]:
        """The findings and gaps."""
        results, self.asked = [self._described()], []
        while (sql := answers.statement(question, results).sql) and sql not in self.asked:
            self.asked.append(sql)
            results.append(_result({"sql": sql}, *self._run(sql)))
        return answers.findings(question, results)

    def _described(self) -> Result:
        _, rows = self._run("SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal")
        told = [[*row, self._notes.get(str(row[1]), ""), self._values(*row[:2])] for row in rows]
        return _result({}, ["table", "column", "type", "description", "values"], told)

    def _values(self, table: object, column: object) -> str:
        """All, or the first and the last."""
        _, rows = self._run(f'SELECT DISTINCT "{column}" FROM {table} WHERE "{column}" IS NOT NULL ORDER BY 1')
        values = [str(value) for [value] in rows]
        return "; ".join(values) if len(values) <= MOST_LISTED else f"{values[0]} .. {values[-1]}"

    def _run(self, sql: str) -> tuple[list[str], list[list[object]]]:
        found = self._database.execute(sql)
        columns = [name for name, *_ in found.description]
        return columns, [list(map(_cell, row)) for row in found.fetchmany(MOST_ROWS)]


def _cell(value: object) -> object:
    return "" if value is None else float(value) if isinstance(value, Decimal) else value


def _result(arguments: dict[str, str], columns: list[str], rows: list[list[object]]) -> Result:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([columns, *rows])
    return Result.of(Call("sales__query", arguments), Answer("E1", f"# Query\n{out.getvalue().rstrip()}"), "")
