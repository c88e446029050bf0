create table events (kind text, n int);
alter table events replica identity full;
-- stream
insert into events values ('a', 1), ('a', 1), (null, null);
update events set n = 2 where n = 1;
delete from events where kind is null;
