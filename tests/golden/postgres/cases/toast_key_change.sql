create table documents (id int primary key, title text, body text, extra text);
alter table documents alter column body set storage external, alter column extra set storage external;
-- stream
insert into documents values (1, 'short', repeat('b', 2100), repeat('e', 2100));
update documents set id = 2 where id = 1;
update documents set id = 3, extra = null where id = 2;
