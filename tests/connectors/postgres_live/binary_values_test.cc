// The server's text and its binary form of the same values give the same values of ours.
#include <gtest/gtest.h>
#include <libpq-fe.h>

#include "connectors/postgres_live/live_fixture.h"
#include "postgres/catalog.h"
#include "postgres/relation.h"
#include "postgres/sql_session.h"

namespace tailwater::postgres {
namespace {

using Rowset = std::unique_ptr<PGresult, decltype(&PQclear)>;

class BinaryValuesTest : public LiveTest {
 protected:
  BinaryValuesTest() : session_(config_, "test"), catalog_(session_), types_(catalog_) {
    session_.Use({}, {});
  }

  Rowset Fetch(const std::string& query, bool binary) {
    return {PQexecParams(sql_->connection().native(), query.c_str(), 0, nullptr, nullptr, nullptr,
                         nullptr, binary ? 1 : 0),
            PQclear};
  }

  // Every column and row of `query`; how many values were compared.
  int Compare(const std::string& query) {
    const Rowset texts = Fetch(query, false), binaries = Fetch(query, true);
    EXPECT_EQ(PQresultStatus(texts.get()), PGRES_TUPLES_OK)
        << query << ": " << PQresultErrorMessage(texts.get());
    EXPECT_EQ(PQresultStatus(binaries.get()), PGRES_TUPLES_OK)
        << query << ": " << PQresultErrorMessage(binaries.get());
    int compared = 0, wrong = 0;
    for (int column = 0; column < PQnfields(texts.get()); ++column) {
      const auto type = types_.Resolve(PQftype(texts.get(), column), PQfmod(texts.get(), column));
      EXPECT_OK(type);
      if (!type) continue;
      EXPECT_TRUE(type->parser->has_binary_form()) << type->name;
      for (int row = 0; row < PQntuples(texts.get()) && wrong < 5; ++row) {
        EXPECT_EQ(PQgetisnull(texts.get(), row, column), PQgetisnull(binaries.get(), row, column));
        if (PQgetisnull(texts.get(), row, column)) continue;
        ChangeBatch batch;
        tailwater::Value from_text, from_binary;
        const auto bytes = [&](const Rowset& rows) {
          return std::string_view(PQgetvalue(rows.get(), row, column),
                                  static_cast<size_t>(PQgetlength(rows.get(), row, column)));
        };
        const bool read = (*type->parser)(bytes(texts), batch, from_text);
        const bool decoded = type->parser->Decode(bytes(binaries), batch, from_binary);
        ++compared;
        if (read && decoded && from_text == from_binary) continue;
        ++wrong;
        std::string readable;
        AppendReadable(from_binary, readable);
        ADD_FAILURE() << type->name << " " << bytes(texts) << " " << decoded
                      << " from binary: " << ValueTypeName(from_binary.type()) << " " << readable;
      }
    }
    return compared;
  }

  SqlSession session_;
  Catalog catalog_;
  TypeCache types_;
};

TEST_F(BinaryValuesTest, OrdinaryAndExtremeValuesAreEqual) {
  Run("create type mood as enum ('sad', 'glad', ''); create domain cents as numeric(8,2); "
      "create domain moods as mood[]");
  const char* lists[] = {
      "bool: 't', 'f'",
      "int2: -32768, 0, 32767",
      "int4: -2147483648, 0, 2147483647",
      "int8: -9223372036854775808, 0, 9223372036854775807",
      "oid: 0, 4294967295",
      "numeric: 0, 0.0, 0.000, 1, 10000, 9999, 1e4, 1e8, 1e-4, 0.0001, 0.00012, -0.0001, "
      "12345.6789, "
      "-99999999.00000001, 100000000.5, 0.5, 0.05, 0.00000000000005, 'NaN', 1e131071, "
      "-1.5e131000, 1e-16383, 10000.00010000, 123456789012345678901234567890.12345",
      "numeric(12,2): 9.5, -0.01, 1234567890.12",
      "float4: 0, '-0', 1, 0.1, 1e-45, 3.4028235e38, -3.4028235e38, 1.17549435e-38, 'NaN', "
      "'Infinity', '-Infinity', 16777216, 33554432, 8.5899346e9, 5.684342e-14",
      "float8: 0, '-0', 0.1, 5e-324, 1.7976931348623157e308, 'NaN', 'Infinity', '-Infinity'",
      "text: '', 'a', E'a\\tb\\n\\u00e9\\U0001F600'",
      "varchar(20): 'x'",
      "bpchar(5): 'ab', ''",
      "name: 'abc'",
      "\"char\": 'x', ''",
      "bytea: '', '\\x00ff5c27'",
      "date: '2000-01-01', '1969-12-31', '0001-01-01', '0001-12-31 BC', '4713-01-01 BC', "
      "'5874897-12-31', '10000-02-29', '0005-02-28 BC', 'infinity', '-infinity'",
      "time: '00:00', '24:00', '23:59:59.999999', '01:02:03.5'",
      "timetz: '00:00+00', '24:00-15:59', '01:02:03.000004+05:30', '01:02:03+15:59:59', "
      "'01:02:03-00:00:01', '01:02-00:30'",
      "timestamp: 'epoch', '2000-01-01', '1999-12-31 23:59:59.999999', '0001-01-01', "
      "'0001-12-31 23:59:59.999999 BC', '4713-01-01 BC', '0044-03-15 12:00:00.5 BC', "
      "'294276-12-31 23:59:59.999999', '294247-01-10 04:00:54.775807', "
      "'294247-01-10 04:00:54.775808', 'infinity', '-infinity', '10000-01-01'",
      "timestamptz: 'epoch', '2024-02-29 12:00+05:30', '0044-03-15 12:00:00+00 BC', "
      "'294276-12-31 23:59:59.999999+00', 'infinity', '-infinity', '0001-01-01 00:00:00+00', "
      "'0001-12-31 23:59:59.999999+00 BC'",
      "interval: '0', '1 year 2 mons -3 days 04:05:06.7', '-1 year', '10 mons -1 day', "
      "'-00:00:00.000001', '2147483647 days', '-2147483648 days', '178000000 years', "
      "'2147483646:59:59.999999'",
      "uuid: '00000000-0000-0000-0000-000000000000', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
      "json: '{\"a\": 1,  \"a\": 1e400}', '\"\\u0000\"'",
      "jsonb: '{\"b\": 1.50, \"a\": [1, null]}', '1e400', '\"\"'",
      "jsonpath: '$.a[*] ? (@ > 1)', 'strict $'",
      "xid: '0', '4294967295'",
      "cid: '7'",
      "tid: '(0,1)', '(4294967295,65535)'",
      "refcursor: 'c'",
      "txid_snapshot: '10:20:10,14,15', '10:20:'",
      "inet: '0.0.0.0', '10.1.2.3/8', '255.255.255.255/32', '::', '::/0', '::1', '::1/64', "
      "'::1.2.3.4', '::ffff:1.2.3.4', '::ffff:1.2.3.4/96', '1::', '1:0:0:2::', '1:0:0:2:0:0:0:3', "
      "'1:2:3:4:5:6:7:8', '0:1::', '1:0:2:0:3:0:4:0', '::1:0', '::1:2:3', 'fe80::1', "
      "'2001:db8:0:0:1:0:0:1', '::ffff:0:1', '1::8', '0:0:1::'",
      "cidr: '10.0.0.0/8', '1.2.3.4', '::/0', '2001:db8::/32', '::1', '0.0.0.0/0'",
      "macaddr: '08:00:2b:01:02:03', 'ff:ff:ff:ff:ff:ff'",
      "macaddr8: '08:00:2b:01:02:03:04:0a'",
      "bit(5): '10110', '00000'",
      "bit(16): '1010101111001101'",
      "varbit: '', '1', '101010101'",
      "int4[]: '{}', '{1,NULL,3}', '[0:1]={5,6}', '{{1,2},{3,4}}', '[-2:-1][5:5]={{7},{NULL}}', "
      "'{{{{{{1}}}}}}', '{{{1,2},{3,NULL}},{{5,6},{7,8}}}', '[2147483646:2147483646]={1}'",
      "text[]: '{\"a b\",NULL,\"NULL\",\"\",c}'",
      "numeric(10,2)[]: '{1.50,NaN,NULL}'",
      "bytea[]: '{\"\\\\x00ff\",NULL}'",
      "timestamptz[]: '{\"2024-01-01 00:00+00\",infinity,NULL}'",
      "interval[]: '{\"1 day\",\"-1 mon 00:00:01\"}'",
      "uuid[]: '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'",
      "jsonb[]: '{\"{\\\"a\\\": [1]}\",null}'",
      "float4[]: '{0.1,-Infinity,NaN}'",
      "date[]: '{2024-02-29,-infinity}'",
      "inet[]: '{::1/64,10.0.0.1}'",
      "bit(3)[]: '{101}'",
      "mood: 'glad', ''",
      "mood[]: '{sad,NULL,\"\"}'",
      "cents: 12.5, -0.01",
      "cents[]: '{12.5,NULL}'",
      "moods: '{sad,glad}'",
  };
  for (const std::string list : lists) {
    const std::string type = list.substr(0, list.find(": "));
    const std::string values = list.substr(list.find(": ") + 2);
    // As literals of the type itself, one after the other.
    std::string query = "select v::" + type + " from (values (null)";
    std::string one;
    bool quoted = false;
    for (const char c : values + ",") {
      if (c == '\'') quoted = !quoted;
      if (c == ',' && !quoted) {
        if (one.find('\'') == std::string::npos) {
          one = one.substr(one.find_first_not_of(' '));
          one = "'" + one + "'";
        }
        query += ", (" + one + ")";
        one.clear();
      } else {
        one += c;
      }
    }
    EXPECT_GT(Compare(query + ") l(v)"), 0) << list;
  }
  if (version() >= 13)
    Compare(
        "select v::xid8, '1:5:3'::pg_snapshot from (values ('0'), ('18446744073709551615')) l(v)");
  if (version() >= 14) Compare("select v::numeric from (values ('Infinity'), ('-Infinity')) l(v)");
}

// One value in a thousand of what the type can hold, by a fixed seed.
TEST_F(BinaryValuesTest, RandomValuesAreEqual) {
  Run("select setseed(0.5)");
  Run("create table r as select "
      "((random() - 0.5) * 10.0 ^ ((random() - 0.5) * 40)::int)::numeric(60, 25) n, "
      "(random() * 10.0 ^ ((random() - 0.5) * 30)::int)::numeric n2, "
      "(random() - 0.5) * 10.0 ^ ((random() - 0.5) * 600)::int f8, "
      "((random() - 0.5) * 10.0 ^ ((random() - 0.5) * 70)::int)::float4 f4, "
      "timestamp '2000-01-01' + ((random() - 0.5) * 4e17)::int8 * interval '1 microsecond' ts, "
      "timestamptz '2000-01-01+00' + (random() * 9e18)::int8 * interval '1 microsecond' tz, "
      "date '2000-01-01' + ((random() - 0.3) * 2e6)::int d, "
      "((random() - 0.5) * 4e9)::int4 * interval '1 month' + ((random() - 0.5) * 4e9)::int4 * "
      "interval '1 day' + ((random() - 0.5) * 1.4e19)::int8 * interval '1 microsecond' iv, "
      "('{' || (random() * 100)::int || ',' || random() || '}')::float4[] a "
      "from generate_series(1, 3000)");
  EXPECT_EQ(Compare("select * from r"), 9 * 3000);
}

// Where two singles are exactly twice as far apart on one side, and where whole numbers lie between
// them: the shortest text of the server is not always the shortest.
TEST_F(BinaryValuesTest, SinglesAreTheDoubleOfTheServersText) {
  Run("create function single(bits int8) returns float4 language plpgsql as $$ declare e int := "
      "bits >> 23; m int8 := bits & 8388607; begin if e = 0 then return (m * 2.0::float8 ^ "
      "-149)::float4; end if; return ((m + 8388608) * 2.0::float8 ^ (e - 150))::float4; end $$");
  EXPECT_GT(Compare("select single(e::int8 * 8388608 + d) from generate_series(0, 254) e, "
                    "unnest('{1,2,3,4,5,6,8,8388606,8388607,0}'::int[]) d where e > 0 or d > 0"),
            2000);
  EXPECT_EQ(Compare("select single((i * 2139095.039)::int8 + i) from generate_series(1, 900) i"),
            900);
  EXPECT_GT(Compare("select (i * 2)::float4 * 2.0::float4 ^ e from generate_series(8388608, "
                    "16777214, 4001) i, generate_series(0, 20) e"),
            40'000);
}

TEST_F(BinaryValuesTest, WhatOnlyTextCanTellIsNotDecoded) {
  for (const char* query :
       {"select '178956970 years 7 mons 2147483647 days 2562047788:00:54.775807'::interval"}) {
    const Rowset rows = Fetch(query, true);
    if (PQresultStatus(rows.get()) != PGRES_TUPLES_OK) continue;  // 17 and later: no such value
    ChangeBatch batch;
    tailwater::Value value;
    EXPECT_FALSE(FindBuiltinType(PQftype(rows.get(), 0))
                     ->parser->Decode({PQgetvalue(rows.get(), 0, 0),
                                       static_cast<size_t>(PQgetlength(rows.get(), 0, 0))},
                                      batch, value));
  }
  for (const uint32_t oid :
       {142u, 600u, 790u, 3220u, 3614u, 3904u, 2205u, 1033u, 1034u, 1017u, 22u})
    EXPECT_FALSE(FindBuiltinType(oid)->parser->has_binary_form()) << oid;
}

}  // namespace
}  // namespace tailwater::postgres
