create table a (id int primary key);
create table b (id int primary key, a int references a);
create table skipped_c (id int primary key);
-- stream
insert into a values (1);
truncate a, skipped_c restart identity cascade;
insert into b values (1, null);
truncate skipped_c;
