create schema "Odd.Schema";
create table "Odd.Schema"."tab ""le" ("Id" int primary key, "a.b" text, "näme 🐟" text);
create table public.sixty_three_characters_long_name_0123456789_0123456789_01234567 (id int primary key);
-- stream
insert into "Odd.Schema"."tab ""le" values (1, E'tab\there', E'new\nline \\ ''quote'' "double" 🐟');
insert into sixty_three_characters_long_name_0123456789_0123456789_01234567 values (1);
