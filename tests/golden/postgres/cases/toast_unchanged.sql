create table documents (id int primary key, title text, body text);
alter table documents alter column body set storage external;
-- stream
insert into documents values (1, 'short', repeat('b', 2100));
update documents set title = 'other' where id = 1;
update documents set body = null where id = 1;
update documents set body = 'now short' where id = 1;
