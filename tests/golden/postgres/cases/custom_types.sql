create extension hstore; create extension citext;
create type mood as enum ('sad', 'so so', 'happy');
create schema other; create type other."Mood" as enum ('x');
create domain positive as numeric(8,3) check (value > 0);
create domain small_positive as positive check (value < 10);
create domain numbers as int[];
create type address as (street text, number int);
create type span as range (subtype = float8);
create table custom (id int primary key, m mood, om other."Mood", p positive, sp small_positive, ns numbers, ms mood[], ps positive[], nss numbers[],
  a address, "as" address[], s span, h hstore, ci citext, cis citext[]);
-- stream
insert into custom values (1, 'so so', 'x', 1.5, 2.25, '{1,2}', '{happy,"so so",NULL}', '{1.5}', '{"{1,2}",NULL}', row('Main "St", 1', null),
  array[row('a b', 1)::address], '[1,2.5)', 'a=>1, b=>NULL', 'Straße', '{Ab,cD}');
alter type mood add value 'new';
insert into custom (id, m) values (2, 'new');
