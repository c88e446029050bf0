-- publication: FOR ALL TABLES WITH (publish_via_partition_root = true)
create table measures (id int primary key, v text) partition by range (id);
create table measures_1 partition of measures for values from (0) to (10);
alter table measures replica identity full;
alter table measures_1 replica identity default;
-- stream
insert into measures values (1, 'one');
update measures set v = 'uno' where id = 1;
update measures set id = 2 where id = 1;
delete from measures;
