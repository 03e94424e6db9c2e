-- What the tables share: how values are read out of JSON. Nothing fails because of a value; what is none is NULL.

-- The text of a JSON object; NULL for other JSON, and for what is no JSON.
CREATE OR REPLACE TEMP MACRO object_in(json) AS
    CASE WHEN TRY(json_type(json)) = 'OBJECT' THEN json END;

-- A text or a number out of JSON, as text; NULL where it is empty, or another kind of value.
CREATE OR REPLACE TEMP MACRO text_of(value) AS
    CASE WHEN left(value, 1) NOT IN ('{', '[', 't', 'f') THEN nullif(value ->> '$', '') END;

-- A finite number, also one that is written as a text.
CREATE OR REPLACE TEMP MACRO number_of(value) AS
    CASE WHEN isfinite(TRY_CAST(value AS DOUBLE)) THEN TRY_CAST(value AS DOUBLE) END;

-- Tokens: a whole number from 0 to 100 billion.
CREATE OR REPLACE TEMP MACRO tokens_of(value) AS
    CASE WHEN number_of(value) BETWEEN 0 AND 1e11 THEN CAST(round(number_of(value)) AS BIGINT) END;

-- US dollars: from 0 to a billion.
CREATE OR REPLACE TEMP MACRO dollars_of(value) AS
    CASE WHEN number_of(value) BETWEEN 0 AND 1e9 THEN number_of(value) END;

-- Milliseconds: none are negative.
CREATE OR REPLACE TEMP MACRO milliseconds_of(value) AS
    CASE WHEN number_of(value) >= 0 THEN number_of(value) END;

-- Milliseconds from one time to another.
CREATE OR REPLACE TEMP MACRO milliseconds_between(start_time, end_time) AS
    (epoch_us(end_time) - epoch_us(start_time)) / 1000.0;

-- The same of the first element where it is a list, also of one that is written as a text.
CREATE OR REPLACE TEMP MACRO first_text(value) AS
    coalesce(
        text_of(TRY(json_extract(if(left(value, 1) = '"', value ->> '$', value), '$[0]'))),
        text_of(value)
    );

-- What may be a score: no object, and something.
CREATE OR REPLACE TEMP MACRO told(value) AS
    CASE WHEN left(value, 1) != '{' AND value NOT IN ('null', '""') THEN value END;

-- Whether an object is one score, which it has under one of these names.
CREATE OR REPLACE TEMP MACRO is_score(json) AS
    list_any_value(
        list_transform(json_extract(json, ['$.score', '$.value', '$.rating']), lambda value: told(value))
    ) IS NOT NULL;

-- The members of a JSON object, each with its name and value, and whether it is an object to take apart; NULL where it
-- is no object. Names get the text `above` in front.
CREATE OR REPLACE TEMP MACRO members_of(json, above) AS
    list_transform(
        list_zip(json_keys(json), json_extract(json, '$.*')),
        lambda member: {
            'name': above || member[1],
            'value': member[2],
            'is_open': left(member[2], 1) = '{' AND NOT is_score(member[2])
        }
    );

-- Members with those that are objects, but no scores, taken apart: theirs have names with a dot.
CREATE OR REPLACE TEMP MACRO taken_apart(members) AS
    flatten(
        list_transform(
            members,
            lambda outer_member: CASE
                WHEN outer_member.is_open THEN members_of(outer_member.value, outer_member.name || '.')
                ELSE [outer_member]
            END
        )
    );

-- The members of a JSON object that say something, with those of objects in it down to the fifth level.
CREATE OR REPLACE TEMP MACRO all_members_of(json) AS
    list_filter(
        taken_apart(taken_apart(taken_apart(taken_apart(members_of(object_in(json), ''))))),
        lambda member: member.value NOT IN ('null', '""', '{}')
    );

-- A Unix time from the year 1 to the year 9999: of seconds, milliseconds, microseconds or nanoseconds, by its size.
CREATE OR REPLACE TEMP MACRO unix_time(number) AS
    CASE
        WHEN abs(number) < 1e11 AND number BETWEEN -62135596800 AND 253402300799
            THEN make_timestamptz(CAST(number * 1e6 AS BIGINT))
        WHEN abs(number) BETWEEN 1e11 AND 1e14 THEN make_timestamptz(CAST(number * 1e3 AS BIGINT))
        WHEN abs(number) BETWEEN 1e14 AND 1e17 THEN make_timestamptz(CAST(number AS BIGINT))
        WHEN abs(number) BETWEEN 1e17 AND 1e20 THEN make_timestamptz(CAST(number / 1e3 AS BIGINT))
    END;

-- The same, or a time in ISO 8601, in UTC where it has no zone.
CREATE OR REPLACE TEMP MACRO time_of(text) AS
    CASE
        WHEN TRY_CAST(text AS DOUBLE) IS NOT NULL THEN unix_time(number_of(text))
        WHEN TRY_CAST(text AS TIMESTAMPTZ)
            BETWEEN TIMESTAMPTZ '0001-01-01 00:00:00+00' AND TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'
            THEN TRY_CAST(text AS TIMESTAMPTZ)
    END;

-- In `found_scores`: what stands before the first member and after the last one.
CREATE OR REPLACE TEMP MACRO no_member() AS
    {'explained': NULL::VARCHAR, 'rank': 0, 'name': NULL::VARCHAR, 'number': 0::BIGINT, 'value': NULL::JSON};

-- In `found_scores`: whether a member explains the one before it.
CREATE OR REPLACE TEMP MACRO explains(member, before) AS
    coalesce(member.rank > 0 AND before.rank = 0 AND member.explained = before.explained, false);

-- Whether an event is among those that a file of a table is made of.
CREATE OR REPLACE TEMP MACRO is_here(place) AS
    place BETWEEN getvariable('first_place') AND getvariable('last_place');
