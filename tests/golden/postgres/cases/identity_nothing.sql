create table logs (id int primary key, line text);
alter table logs replica identity nothing;
-- stream
insert into logs values (1, 'hello');
