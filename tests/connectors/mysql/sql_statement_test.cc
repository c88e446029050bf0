// Real statements as servers log them, and what is read out of them.
#include "mysql/sql_statement.h"

#include <gtest/gtest.h>

#include "mysql/sql_tokens.h"
#include "support/text.h"

namespace tailwater::mysql {
namespace {

using Kind = SqlStatement::Kind;

std::string_view Name(Kind kind) {
  switch (kind) {
    case Kind::kNothing:
      return "nothing";
    case Kind::kBegin:
      return "begin";
    case Kind::kCommit:
      return "commit";
    case Kind::kRollback:
      return "rollback";
    case Kind::kSavepoint:
      return "savepoint";
    case Kind::kRollbackTo:
      return "rollback to";
    case Kind::kReleaseSavepoint:
      return "release";
    case Kind::kXaStart:
      return "xa start";
    case Kind::kXaEnd:
      return "xa end";
    case Kind::kXaPrepare:
      return "xa prepare";
    case Kind::kXaCommit:
      return "xa commit";
    case Kind::kXaRollback:
      return "xa rollback";
    case Kind::kTruncate:
      return "truncate";
    case Kind::kSchemaChange:
      return "schema";
    case Kind::kRowsByStatement:
      return "rows";
    case Kind::kUnknown:
      return "unknown";
  }
  return "?";
}

// "schema replaced shop.a (RENAME TABLE) created shop.b dropped shop.c"
std::string Describe(const SqlStatement& statement) {
  std::string text(Name(statement.kind));
  if (!statement.name.empty()) text += " " + statement.name;
  if (!statement.xid.empty()) text += " " + statement.xid;
  if (statement.one_phase) text += " one phase";
  const bool schema = statement.kind == Kind::kSchemaChange;
  for (const TableName& table : statement.tables) {
    text += (schema ? " replaced " : " ") + table.ToString();
  }
  if (!statement.why.empty()) text += fmt::format(" ({})", statement.why);
  for (const TableName& table : statement.created) text += " created " + table.ToString();
  for (const TableName& table : statement.dropped) text += " dropped " + table.ToString();
  if (!statement.dropped_database.empty()) text += " dropped all of " + statement.dropped_database;
  return text;
}

struct Case {
  std::string sql;
  std::string expected;
  Flavour flavour = Flavour::kMysql;
  uint64_t sql_mode = 0;
};

void Check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const QueryEvent query{.database = "shop", .sql = c.sql, .sql_mode = c.sql_mode};
    EXPECT_EQ(Describe(ReadStatement(query, c.flavour)), c.expected) << c.sql;
  }
}

constexpr Flavour kMaria = Flavour::kMariadb;

TEST(SqlStatement, ReadsWhatMovesAGroupOn) {
  Check({
      {"BEGIN", "begin"},
      {"START TRANSACTION", "begin"},
      {"COMMIT", "commit"},
      {"commit /* from a tool */", "commit"},
      {"ROLLBACK", "rollback"},
      {"rollback work", "rollback"},
      {"SAVEPOINT `s1`", "savepoint s1"},
      {"SAVEPOINT `back``tick`", "savepoint back`tick"},
      {"ROLLBACK TO `s1`", "rollback to s1"},
      {"ROLLBACK TO SAVEPOINT s1", "rollback to s1"},
      {"ROLLBACK WORK TO SAVEPOINT \"s1\"", "rollback to s1", kMaria, kAnsiQuotes},
      {"RELEASE SAVEPOINT `s1`", "release s1"},
  });
}

TEST(SqlStatement, NamesAnXaTransactionInOneForm) {
  Check({
      {"XA START X'6162',X'',1", "xa start X'6162',X'',1"},
      {"XA END X'6162',X'ff',7", "xa end X'6162',X'ff',7"},
      {"XA PREPARE X'6162',X'',1", "xa prepare X'6162',X'',1"},
      {"XA COMMIT X'61AF',X'',1", "xa commit X'61af',X'',1"},
      {"XA COMMIT X'6162',X'',1 ONE PHASE", "xa commit X'6162',X'',1 one phase"},
      {"XA ROLLBACK X'6162',X'',4294967295", "xa rollback X'6162',X'',4294967295"},
      {"XA COMMIT 'ab','c',-2", "xa commit X'6162',X'63',4294967294"},
      {"XA COMMIT 'ab','c',5", "xa commit X'6162',X'63',5"},
      {"xa commit 'ab'", "xa commit X'6162',X'',1"},
      {"XA COMMIT 0x6162", "xa commit X'6162',X'',1"},
      {"XA RECOVER", "nothing"},
  });
}

TEST(SqlStatement, ReadsTruncate) {
  Check({
      {"TRUNCATE TABLE orders", "truncate shop.orders"},
      {"truncate orders", "truncate shop.orders"},
      {"TRUNCATE `other`.`my table`", "truncate other.\"my table\""},
      {"TRUNCATE TABLE orders WAIT 5", "truncate shop.orders", kMaria},
      {"/* x */ TRUNCATE -- why\n TABLE # not\n orders", "truncate shop.orders"},
      {"SET STATEMENT max_statement_time=60 FOR TRUNCATE TABLE orders", "truncate shop.orders",
       kMaria},
      {"TRUNCATE", "unknown"},
  });
}

TEST(SqlStatement, TellsWhichNamesHoldOtherRowsAfterARename) {
  Check({
      {"RENAME TABLE a TO b", "schema replaced shop.b (RENAME TABLE) dropped shop.a"},
      {"RENAME TABLE `shop`.`orders` TO `shop`.`_orders_del`, `shop`.`_orders_gho` TO "
       "`shop`.`orders`",
       "schema replaced shop._orders_del replaced shop.orders (RENAME TABLE) dropped "
       "shop._orders_gho"},
      {"RENAME TABLE `shop`.`orders` TO `shop`.`_orders_old`, `shop`.`_orders_new` TO "
       "`shop`.`orders`",
       "schema replaced shop._orders_old replaced shop.orders (RENAME TABLE) dropped "
       "shop._orders_new"},
      {"rename table a to tmp, b to a, tmp to b",
       "schema replaced shop.b replaced shop.a (RENAME TABLE)"},
      {"RENAME TABLE a TO tmp, tmp TO a", "schema"},
      {"RENAME TABLES IF EXISTS a WAIT 10 TO other.a",
       "schema replaced other.a (RENAME TABLE) dropped shop.a", kMaria},
      {"RENAME USER 'a'@'%' TO 'b'@'%'", "nothing"},
      {"ALTER TABLE a RENAME TO b", "schema replaced shop.b (ALTER TABLE … RENAME) dropped shop.a"},
      {"ALTER TABLE a ADD c INT, RENAME = x.b",
       "schema replaced x.b (ALTER TABLE … RENAME) dropped shop.a"},
      {"ALTER TABLE a RENAME b", "schema replaced shop.b (ALTER TABLE … RENAME) dropped shop.a"},
      {"ALTER TABLE a RENAME COLUMN b TO c", "schema"},
      {"ALTER TABLE a RENAME INDEX b TO c, RENAME KEY d TO e", "schema"},
      {"RENAME TABLE a", "unknown"},
  });
}

TEST(SqlStatement, ReadsOnlyOfAlterWhatReplacesRows) {
  Check({
      {"ALTER TABLE orders ADD COLUMN note VARCHAR(100) DEFAULT 'a, RENAME TO b' FIRST", "schema"},
      {"ALTER TABLE orders ADD COLUMN engine varchar(10), ENGINE=InnoDB", "schema"},
      {"ALTER TABLE orders ENGINE = BLACKHOLE", "schema replaced shop.orders (ENGINE = BLACKHOLE)"},
      {"ALTER TABLE orders DROP COLUMN note, DROP PRIMARY KEY, ADD PRIMARY KEY (id)", "schema"},
      {"ALTER TABLE orders CONVERT TO CHARACTER SET utf8mb4", "schema"},
      {"ALTER TABLE orders MODIFY c ENUM('x','DROP PARTITION p')", "schema"},
      {"ALTER TABLE p DROP PARTITION p1, p2", "schema replaced shop.p (DROP PARTITION)"},
      {"ALTER TABLE p TRUNCATE PARTITION ALL", "schema replaced shop.p (TRUNCATE PARTITION)"},
      {"ALTER TABLE p EXCHANGE PARTITION p1 WITH TABLE x.q WITHOUT VALIDATION",
       "schema replaced shop.p replaced x.q (EXCHANGE PARTITION)"},
      {"ALTER TABLE p CONVERT PARTITION p1 TO TABLE q",
       "schema replaced shop.p replaced shop.q (CONVERT PARTITION)", kMaria},
      {"ALTER TABLE p CONVERT TABLE q TO PARTITION p1 VALUES LESS THAN (5)",
       "schema replaced shop.p (CONVERT TABLE TO PARTITION)", kMaria},
      {"ALTER TABLE p ADD PARTITION (PARTITION p3 VALUES LESS THAN (30))", "schema"},
      {"ALTER TABLE p REORGANIZE PARTITION p1 INTO (PARTITION a VALUES LESS THAN (5), PARTITION b "
       "VALUES LESS THAN (9))",
       "schema"},
      {"ALTER TABLE p COALESCE PARTITION 2", "schema"},
      {"ALTER TABLE orders DISCARD TABLESPACE", "schema replaced shop.orders (DISCARD TABLESPACE)"},
      {"ALTER TABLE orders IMPORT TABLESPACE", "schema replaced shop.orders (IMPORT TABLESPACE)"},
      {"ALTER IGNORE TABLE orders ADD UNIQUE KEY (v)",
       "schema replaced shop.orders (ALTER IGNORE TABLE)", kMaria},
      {"ALTER ONLINE TABLE IF EXISTS orders WAIT 5 ADD c INT", "schema", kMaria},
      {"SET STATEMENT lock_wait_timeout=1, sql_mode=CONCAT(@@sql_mode, ',FOR x') FOR ALTER TABLE p "
       "DROP PARTITION p1",
       "schema replaced shop.p (DROP PARTITION)", kMaria},
      {"/*!40000 ALTER TABLE `orders` DISABLE KEYS */", "schema"},
      {"ALTER DATABASE shop CHARACTER SET utf8mb4", "schema"},
      {"ALTER USER 'u'@'%' IDENTIFIED WITH 'caching_sha2_password' AS '$A$005$\x01\x02'",
       "nothing"},
      {"ALTER DEFINER=`root`@`localhost` VIEW v AS SELECT 1", "nothing"},
      {"ALTER ALGORITHM=MERGE VIEW v AS SELECT 1", "nothing"},
      {"ALTER SEQUENCE s RESTART 50", "nothing", kMaria},
      {"ALTER SOMETHING new", "unknown"},
      {"ALTER TABLE", "unknown"},
  });
}

TEST(SqlStatement, TellsWhatIsMadeAndDropped) {
  Check({
      {"CREATE DATABASE shop", "schema"},
      {"CREATE OR REPLACE DATABASE `shop`", "schema dropped all of shop", kMaria},
      {"DROP DATABASE IF EXISTS `shop 2`", "schema dropped all of shop 2"},
      {"DROP SCHEMA shop", "schema dropped all of shop"},
      {"CREATE TABLE `orders` (`id` int NOT NULL, `select` int, PRIMARY KEY (`id`))",
       "schema created shop.orders"},
      {"CREATE TABLE IF NOT EXISTS x.orders LIKE orders", "schema created x.orders"},
      {"CREATE TABLE orders (\n  `id` int, v varchar(9) DEFAULT 'select'\n) START TRANSACTION",
       "schema created shop.orders"},
      {"CREATE TABLE `t` (\n  `my_row_id` bigint unsigned NOT NULL AUTO_INCREMENT /*!80023 "
       "INVISIBLE */,\n  PRIMARY KEY (`my_row_id`)\n)",
       "schema created shop.t"},
      {"CREATE TABLE p (a INT) PARTITION BY RANGE (a) (PARTITION p0 VALUES LESS THAN (6))",
       "schema created shop.p"},
      {"CREATE TABLE p (a INT) PARTITION BY LIST (a) (PARTITION p0 VALUES IN (1,2))",
       "schema created shop.p"},
      {"CREATE OR REPLACE TABLE `cs` (\n  `id` int(11) NOT NULL,\n  `v` int(11) DEFAULT NULL\n)",
       "schema replaced shop.cs (CREATE OR REPLACE TABLE)", kMaria},
      {"CREATE TABLE c (a INT) WITH SYSTEM VERSIONING", "schema created shop.c", kMaria},
      {"CREATE TEMPORARY TABLE tt (a INT)", "nothing"},
      {"CREATE /*!32312 TEMPORARY */ TABLE tt (a INT)", "nothing"},
      {"CREATE TABLE c AS SELECT * FROM orders", "rows shop.c"},
      {"CREATE TABLE c (SELECT 1)", "rows shop.c"},
      {"CREATE TABLE c ENGINE=InnoDB WITH x AS (SELECT 1) SELECT * FROM x", "rows shop.c"},
      {"CREATE TABLE c TABLE orders", "rows shop.c"},
      {"CREATE TABLE c VALUES ROW(1,2)", "rows shop.c"},
      {"CREATE INDEX i ON orders (v)", "nothing"},
      {"CREATE UNIQUE INDEX i ON orders (v)", "nothing"},
      {"CREATE DEFINER=`root`@`localhost` TRIGGER tr AFTER INSERT ON i FOR EACH ROW INSERT INTO m "
       "VALUES (1)",
       "nothing"},
      {"/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`b`*/ /*!50003 PROCEDURE p() TRUNCATE orders */",
       "nothing"},
      {"CREATE OR REPLACE VIEW v AS SELECT * FROM orders", "nothing"},
      {"CREATE ALGORITHM=UNDEFINED DEFINER=`r`@`%` SQL SECURITY DEFINER VIEW v AS SELECT 1",
       "nothing"},
      {"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM orders", "nothing"},
      {"CREATE SEQUENCE sq", "nothing", kMaria},
      {"CREATE AGGREGATE FUNCTION f RETURNS STRING SONAME 'x.so'", "nothing"},
      {"CREATE USER 'a'@'%' IDENTIFIED BY PASSWORD '*ABC'", "nothing"},
      {"CREATE SOMETHING", "unknown"},
      {"DROP TABLE `a`,`b` /* generated by server */", "schema dropped shop.a dropped shop.b"},
      {"DROP TABLE IF EXISTS x.a CASCADE", "schema dropped x.a"},
      {"DROP TABLES a, `b`.`c``d`", "schema dropped shop.a dropped b.c`d"},
      {"DROP TEMPORARY TABLE IF EXISTS `shop`.`tt` /* generated by server */", "nothing"},
      {"DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `tt`", "nothing"},
      {"DROP VIEW v", "nothing"},
      {"DROP INDEX i ON orders", "nothing"},
      {"DROP TRIGGER IF EXISTS tr", "nothing"},
      {"DROP USER 'a'@'%'", "nothing"},
      {"DROP SOMETHING", "unknown"},
  });
}

TEST(SqlStatement, FindsTheTablesThatStatementsWriteTo) {
  Check({
      {"INSERT INTO orders VALUES (1, 'x')", "rows shop.orders"},
      {"insert ignore into x.orders(id) select id from other", "rows x.orders"},
      {"INSERT orders SET id = 1", "rows shop.orders"},
      {"INSERT LOW_PRIORITY IGNORE INTO `or``ders` VALUES (1)", "rows shop.or`ders"},
      {"REPLACE INTO percona.checksums (db, tbl) SELECT 'shop', 'orders' FROM shop.orders",
       "rows percona.checksums"},
      {"UPDATE orders SET v = (SELECT max(v) FROM other)", "rows shop.orders"},
      {"UPDATE LOW_PRIORITY orders o, x.items AS i SET o.v = i.v WHERE o.id = i.id",
       "rows shop.orders x.items"},
      {"UPDATE orders o LEFT JOIN items i ON (o.id = i.id) SET o.v = 1",
       "rows shop.orders shop.items"},
      {"UPDATE orders JOIN (SELECT id FROM items) d USING (id) SET v = 1", "rows shop.orders"},
      {"UPDATE (a, b) SET a.v = b.v", "rows shop.a shop.b"},
      {"DELETE FROM orders WHERE id IN (SELECT id FROM items)", "rows shop.orders"},
      {"DELETE QUICK FROM x.orders LIMIT 5", "rows x.orders"},
      {"DELETE o, i FROM orders o JOIN items i WHERE o.id = i.id", "rows shop.orders shop.items"},
      {"DELETE FROM o USING orders AS o JOIN items WHERE 1", "rows shop.orders shop.items"},
      {"DELETE HISTORY FROM orders BEFORE SYSTEM_TIME now()", "nothing", kMaria},
      {"LOAD DATA LOCAL INFILE '/tmp/x' REPLACE INTO TABLE `orders` FIELDS TERMINATED BY ','",
       "rows shop.orders"},
      {"CALL fill(5)", "rows"},
      {"SELECT `shop`.`f`(1)", "rows"},
      {"DO f(1)", "rows"},
      {"WITH x AS (SELECT 1 AS id) UPDATE orders, x SET v = 1", "rows"},
      {"SET STATEMENT sort_buffer_size=1 FOR INSERT INTO orders VALUES (1)", "rows shop.orders",
       kMaria},
  });
}

TEST(SqlStatement, PassesWhatTouchesNoRows) {
  Check({
      {"GRANT SELECT ON *.* TO 'a'@'%'", "nothing"},
      {"SET PASSWORD FOR 'a'@'%'='*1234'", "nothing"},
      {"SET STATEMENT x=1", "nothing", kMaria},
      {"SET DEFAULT ROLE ALL TO 'a'@'%'", "nothing"},
      {"FLUSH PRIVILEGES", "nothing"},
      {"FLUSH /*!40101 LOCAL */ TABLES", "nothing"},
      {"ANALYZE TABLE orders", "nothing"},
      {"OPTIMIZE TABLE orders", "nothing"},
      {"INSTALL PLUGIN x SONAME 'y'", "nothing"},
      {"# Dummy event replacing event type 160 that slave cannot handle.", "nothing"},
      {"-- nothing", "nothing"},
      {"", "nothing"},
      {"BINLOG 'abcd'", "unknown"},
      {"IMPORT TABLE FROM '/x.sdi'", "unknown"},
      {"FROBNICATE TABLE orders", "unknown"},
  });
}

TEST(SqlStatement, ReadsQuotesAsTheSessionMeantThem) {
  Check({
      {"TRUNCATE TABLE \"orders\"", "truncate shop.orders", Flavour::kMysql, kAnsiQuotes},
      {"TRUNCATE TABLE \"a\"\"b\"", "truncate shop.\"a\"\"b\"", Flavour::kMysql, kAnsiQuotes},
      {"CREATE TABLE t (a varchar(9) DEFAULT 'it\\'s select')", "schema created shop.t"},
      {"CREATE TABLE t (a varchar(9) DEFAULT 'back\\') SELECT 1", "rows shop.t", Flavour::kMysql,
       kNoBackslashEscapes},
      {"CREATE TABLE t (a varchar(9) DEFAULT 'it''s', b int COMMENT \"select\")",
       "schema created shop.t"},
      {"TRUNCATE TABLE gr\xC3\xB6\xC3\x9F\x65", "truncate shop.gr\xC3\xB6\xC3\x9F\x65"},
      {"TRUNCATE TABLE 2024_orders", "truncate shop.2024_orders"},
      {"TRUNCATE TABLE a$b", "truncate shop.a$b"},
      {"TRUNCATE x . orders", "truncate x.orders"},
  });
}

TEST(SqlStatement, KnowsMariadbsCommentsFromMysqls) {
  Check({
      {"DROP /*M!50101 TEMPORARY */ TABLE tt", "nothing", kMaria},
      {"DROP /*M!50101 TEMPORARY */ TABLE tt", "schema dropped shop.tt"},
      // What a server did not execute it logs without the '!'.
      {"DROP /* 99999 TEMPORARY */ TABLE tt", "schema dropped shop.tt"},
      {"TRUNCATE /*! /* inner */ TABLE */ orders", "truncate shop.orders"},
  });
}

TEST(SqlStatement, EndsOnAnyBytes) {
  for (const std::string_view sql :
       {"TRUNCATE `", "INSERT INTO '", "/*", "/*!", "ALTER TABLE a (", "XA COMMIT", "XA COMMIT X'",
        "CREATE TABLE a.", "DELETE FROM", "UPDATE (((", "SET STATEMENT (", "RENAME TABLE a TO",
        "--", "DROP TABLE ,", "SAVEPOINT 'a\\"}) {
    for (const Flavour flavour : {Flavour::kMysql, Flavour::kMariadb}) {
      const QueryEvent query{.database = "shop", .sql = sql};
      EXPECT_FALSE(Describe(ReadStatement(query, flavour)).empty()) << sql;
    }
  }
}

}  // namespace
}  // namespace tailwater::mysql
