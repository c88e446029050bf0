-- servers: mariadb
create table t (id int primary key, i4 inet4, i6 inet6, u uuid, cv varchar(400) compressed, cb blob compressed, j json, inv int invisible default 3);
create table versioned (id int primary key, v int) with system versioning;
create sequence s;
-- stream
insert into t (id, i4, i6, u, cv, cb, j) values
  (1, '127.0.0.1', '::1', '123e4567-e89b-12d3-a456-426655440000', repeat('c', 400), repeat('b', 400), '{"b": 1,  "a": 2}'),
  (2, '10.0.0.0', '2001:db8::', '00000000-0000-0000-0000-000000000000', 'short', '', '[]'),
  (3, null, null, null, null, null, null);
insert into versioned values (1, 1);
update versioned set v = 2;
delete from versioned;
do nextval(s);
