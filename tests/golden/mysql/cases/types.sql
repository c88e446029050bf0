-- Every type that both servers have, at its ends and as NULL; charsets; names that need quoting.
create table numbers (
  id int primary key, t tinyint, tu tinyint unsigned, s smallint, su smallint unsigned, m mediumint, mu mediumint unsigned,
  i int, iu int unsigned, b bigint, bu bigint unsigned, bo bool, y year, bi1 bit(1), bi9 bit(9), bi64 bit(64),
  d52 decimal(5,2), d6530 decimal(65,30), d55 decimal(5,5) unsigned, f float, d double);
create table times (
  id int primary key, d date, dt datetime, dt3 datetime(3), dt6 datetime(6), ts timestamp null, ts1 timestamp(1) null, ts6 timestamp(6) null,
  t time, t2 time(2), t6 time(6));
create table texts (
  id int primary key, c5 char(5), c255 char(255) character set utf8mb4, v10 varchar(10), v300 varchar(300) character set latin1,
  bin5 binary(5), vb varbinary(300), tt tinytext, tx text character set ucs2, mt mediumtext, lt longtext, bl blob, gbk varchar(10) character set gbk,
  e enum('one', 'two', 'drei ä') character set latin1, st set('a', 'b', 'c') character set utf8mb4, g geometry, p point, j json);
create table `odd ``name` (`a b` int, `ü` int, gen int as (`a b` + 1), st int as (`a b` + 2) stored, primary key (`ü`, `a b`));
create table keyless (a int, b varchar(5));
create table prefix_key (a varchar(50), b int, primary key (a(3), b));
-- stream
set session time_zone = '+00:00', sql_mode = '';
insert into numbers values
  (1, -128, 0, -32768, 0, -8388608, 0, -2147483648, 0, -9223372036854775808, 0, false, 1901, b'0', b'0', b'0',
   -999.99, -99999999999999999999999999999999999.999999999999999999999999999999, 0, -3.4028235e38, -1.7976931348623157e308),
  (2, 127, 255, 32767, 65535, 8388607, 16777215, 2147483647, 4294967295, 9223372036854775807, 18446744073709551615, true, 2155, b'1',
   b'100000001', 0xFFFFFFFFFFFFFFFF, 999.99, 12345678901234567890123456789012345.000000000000000000000000000001, 0.99999, 0.1, 0.1),
  (3, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, 2, 0, null, b'10', 5, 0, -0.000000001, 0.00001, 1.5, 5e-324),
  (4, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null);
insert into times values
  (1, '1000-01-01', '1000-01-01 00:00:00', '1000-01-01 00:00:00.001', '1000-01-01 00:00:00.000001', '1970-01-01 00:00:01', '1970-01-01 00:00:01.1',
   '1970-01-01 00:00:01.000001', '-838:59:59', '-00:00:00.01', '-838:59:58.000001'),
  (2, '9999-12-31', '9999-12-31 23:59:59', '9999-12-31 23:59:59.999', '9999-12-31 23:59:59.999999', '2038-01-19 03:14:07', '2038-01-19 03:14:07.9',
   '2038-01-19 03:14:07.999999', '838:59:59', '00:00:00.01', '838:59:58.999999'),
  (3, '0000-00-00', '0000-00-00 00:00:00', '0000-00-00 00:00:00', '0000-00-00 00:00:00', '0000-00-00 00:00:00', '0000-00-00 00:00:00', '0000-00-00 00:00:00',
   0, 0, 0),
  (4, '2024-02-00', '2024-00-10 01:02:03', '2024-02-29 12:34:56.789', '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56', '2024-02-29 12:34:56.7',
   '2024-02-29 12:34:56.789012', '12:34:56', '12:34:56.78', '12:34:56.789012'),
  (5, null, null, null, null, null, null, null, null, null, null);
insert into texts values
  (1, 'a  ', repeat('ü', 255), '', 'Müller €', X'0100', X'00ff00', 'tiny', 'ucs2 ü', 'medium', 'long 😀', X'00ff', '中文', 'drei ä', 'a,c',
   st_geomfromtext('linestring(0 0,1 1)'), st_geomfromtext('point(1 2)'), '{"a": [1, 2.5, "x", null, true]}'),
  (2, '', '', 'ten chars!', repeat('x', 300), X'0000000000', '', '', '', '', '', '', '', 99, '', st_geomfromtext('geometrycollection(point(1 1))'), null, 'null'),
  (3, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null);
insert into `odd ``name` (`a b`, `ü`) values (1, 2);
update `odd ``name` set `a b` = 3;
insert into keyless values (1, 'x'), (1, 'x');
delete from keyless limit 1;
insert into prefix_key values ('abcdef', 1);
update prefix_key set a = 'abcxyz';
