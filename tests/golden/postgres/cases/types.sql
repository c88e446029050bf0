create table scalars (id int primary key, b bool, i2 int2, i4 int4, i8 int8, o oid, f4 float4, f8 float8, n numeric, n2 numeric(12,2),
  m money, t text, v varchar(20), c char(5), nm name, ch "char", x xml, by bytea, d date, tm time, tm3 time(3), tmtz timetz,
  ts timestamp, ts3 timestamp(3), tstz timestamptz, iv interval, ivym interval year to month, ivs interval second(3), u uuid,
  j json, jb jsonb, bi bit(5), vb bit varying(7), ip inet, net cidr, mac macaddr, mac8 macaddr8, pt point, bx box, ci circle,
  ln line, ls lseg, pa path, pg polygon, tv tsvector, tq tsquery, ls2 pg_lsn, x8 xid8, jp jsonpath, r int4range, mr int4multirange,
  iv2 int2vector, rc regclass, td tid);
-- stream
insert into scalars values (1, true, -7, 42, 9007199254740993, 4294967295, 0.1, 0.1, 123.4500, 99.9, '-1234.5', 'text', 'varchar',
  'ab', 'name', 'q', '<a b="1">x</a>', '\x00ff10'::bytea, '2024-02-29', '12:34:56.789', '12:34:56.7891', '12:34:56+05:30',
  '2024-02-29 12:34:56.000001', '2024-02-29 12:34:56.7891', '2024-02-29 12:34:56.5+02', '1 year 2 mons 3 days 04:05:06.7', '14 months',
  '1.2345 s', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a": 1, "a": 1e400}', '{"b": 1e400, "a": [1, null]}', B'10110', B'101',
  '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '(1,2)', '((1,2),(3,4))', '<(1,2),3>', '{1,2,3}',
  '[(1,2),(3,4)]', '[(1,2),(3,4)]', '((1,2),(3,4))', 'a fat cat', 'fat & !rat', '16/B374D848', '18446744073709551615', '$.a[*]',
  '(,5]', '{[1,3),[7,9)}', '1 2 3', 'pg_class', '(1,2)');
insert into scalars values (2);
