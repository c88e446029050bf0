create table seats (id int primary key deferrable initially deferred, name text);
alter table seats replica identity full;
-- stream
insert into seats values (1, 'a'), (2, 'b');
update seats set id = id + 1;
