-- Of each session the call that ended last; a call without a session is one by itself.
DELETE FROM calls
WHERE place NOT IN (
    SELECT arg_max(place, {'end': coalesce(end_time, '-infinity'), 'start': coalesce(start_time, '-infinity'), 'place': place})
    FROM calls
    GROUP BY session_id, if(session_id IS NULL, event_id, NULL)
)
