-- publication: FOR TABLE documents WHERE (id < 10)
create table documents (id int primary key, body text);
alter table documents alter column body set storage external;
-- stream
insert into documents values (1, repeat('b', 2100)), (50, repeat('c', 2100));
update documents set id = 60 where id = 1;
update documents set id = 5 where id = 50;
