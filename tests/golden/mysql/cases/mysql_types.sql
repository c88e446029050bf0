-- servers: mysql
set session sql_generate_invisible_primary_key = on;
create table hidden_key (v int);
set session sql_generate_invisible_primary_key = off;
create table t (id int primary key, j json, v vector(3), g geometry srid 4326, inv int invisible default 3, d date default (current_date));
create table parent (id int primary key);
create table child (id int primary key, p int, foreign key (p) references parent (id) on delete cascade);
create table parts (id int primary key, v int) partition by range (id) (partition a values less than (10), partition b values less than (20));
-- stream
insert into hidden_key values (1), (2);
insert into t (id, j, v, g, d) values
  (1, '{"a": 1, "b": [1, 2.5, 1e100, -1, 18446744073709551615, "x", null, true, false, {}, []], "é\\u0001": "\\""}', string_to_vector('[1,2.5,-3]'),
   st_geomfromtext('point(10 20)', 4326), '2024-02-29'),
  (2, json_object('d', cast(1.50 as decimal(5,2)), 't', cast('12:34:56.789' as time(6)), 'dt', timestamp'2024-02-29 12:34:56', 'dd', date'2024-02-29', 'b', X'00ff'),
   null, null, null),
  (3, null, null, null, null);
set session binlog_row_value_options = partial_json;
update t set j = json_set(j, '$.a', 2, '$.b[1]', 'changed') where id = 1;
update t set j = json_remove(j, '$.b') where id = 1;
update t set d = '2025-01-01' where id = 1;
update hidden_key set v = 3 where v = 1;
set session binlog_row_value_options = '';
insert into parent values (1), (2);
insert into child values (1, 1), (2, 1), (3, 2);
delete from parent where id = 1;
insert into parts values (1, 1), (11, 1);
update parts set id = 12 where id = 1;
