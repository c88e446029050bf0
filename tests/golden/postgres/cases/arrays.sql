create table arrays (id int primary key, i int[], t text[], n numeric(10,2)[], by bytea[], bx box[], ts timestamptz[], iv interval[],
  u uuid[], j jsonb[], f float8[], bo bool[], vc varchar(9)[], d date[], r int4range[]);
-- stream
insert into arrays values (1, '{1,NULL,3}', '{"a b",NULL,"NULL","",c,"q\"uote","back\\slash","com,ma","{brace}",üñ}', '{1.50,NaN}', array['\x00ff'::bytea, null],
  array['((1,2),(3,4))'::box, '((5,6),(7,8))'::box], array['2024-01-01 00:00+00'::timestamptz, 'infinity', null], array['1 day'::interval, '-1 mon 00:00:01'],
  array['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid], array['{"a": [1, "x"]}'::jsonb, 'null'], '{0.1,-Infinity}', '{t,f,NULL}', '{abc}', '{2024-02-29,infinity}', array['[1,3)'::int4range, 'empty']);
insert into arrays (id, i, t) values (2, '{}', '{}'), (3, '{{1,2},{3,4}}', '{{{a},{b}},{{c},{d}}}'), (4, '[0:1]={5,6}', '[-2:-1][5:5]={{x},{NULL}}');
insert into arrays (id, i) values (5, '{{{{{{1}}}}}}');
