create table blobs (name text primary key, n int);
alter table blobs alter column name set storage external;
-- stream
insert into blobs values (repeat('k', 2100), 1);
update blobs set n = 2;
delete from blobs;
