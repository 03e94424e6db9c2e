-- A step on the way: what is read out of each event once, for the tables `events` and `model_calls`. The number of an
-- event is that of its row here.
WITH read AS (
    SELECT
        *,
        TRY(json_transform(object_in(metadata), '{
            "input_tokens": "VARCHAR", "prompt_tokens": "VARCHAR",
            "output_tokens": "VARCHAR", "completion_tokens": "VARCHAR",
            "total_tokens": "VARCHAR",
            "cost": "VARCHAR", "total_cost": "VARCHAR",
            "operation_name": "JSON", "model": "JSON", "model_name": "JSON", "provider": "JSON",
            "trace_id": "JSON", "span_id": "JSON", "user_id": "JSON",
            "finish_reason": "JSON", "finish_reasons": "JSON",
            "time_to_first_token_ms": "VARCHAR",
            "gen_ai": {
                "usage": {
                    "input_tokens": "VARCHAR", "prompt_tokens": "VARCHAR",
                    "output_tokens": "VARCHAR", "completion_tokens": "VARCHAR",
                    "total_tokens": "VARCHAR"
                },
                "operation": {"name": "JSON"}, "system": "JSON", "provider": {"name": "JSON"},
                "request": {
                    "model": "JSON", "temperature": "VARCHAR", "top_p": "VARCHAR", "max_tokens": "VARCHAR",
                    "presence_penalty": "VARCHAR", "frequency_penalty": "VARCHAR"
                },
                "response": {"model": "JSON", "finish_reasons": "JSON"}
            },
            "gen_ai.usage.input_tokens": "VARCHAR", "gen_ai.usage.prompt_tokens": "VARCHAR",
            "gen_ai.usage.output_tokens": "VARCHAR", "gen_ai.usage.completion_tokens": "VARCHAR",
            "gen_ai.usage.total_tokens": "VARCHAR",
            "gen_ai.operation.name": "JSON", "gen_ai.system": "JSON", "gen_ai.provider.name": "JSON",
            "gen_ai.request.model": "JSON", "gen_ai.request.temperature": "VARCHAR",
            "gen_ai.request.top_p": "VARCHAR", "gen_ai.request.max_tokens": "VARCHAR",
            "gen_ai.request.presence_penalty": "VARCHAR", "gen_ai.request.frequency_penalty": "VARCHAR",
            "gen_ai.response.model": "JSON", "gen_ai.response.finish_reasons": "JSON"
        }')) AS m,
        TRY(json_transform(object_in(config), '{
            "model": "JSON", "provider": "JSON",
            "temperature": "VARCHAR", "top_p": "VARCHAR", "max_tokens": "VARCHAR",
            "presence_penalty": "VARCHAR", "frequency_penalty": "VARCHAR",
            "hyperparameters": {
                "temperature": "VARCHAR", "top_p": "VARCHAR", "max_tokens": "VARCHAR",
                "presence_penalty": "VARCHAR", "frequency_penalty": "VARCHAR"
            },
            "hyperparameters.temperature": "VARCHAR", "hyperparameters.top_p": "VARCHAR",
            "hyperparameters.max_tokens": "VARCHAR", "hyperparameters.presence_penalty": "VARCHAR",
            "hyperparameters.frequency_penalty": "VARCHAR"
        }')) AS c,
        -- A duration or an error that does not fit its column is in extra.
        TRY(json_transform(object_in(extra), '{"duration": "VARCHAR", "error": "VARCHAR"}')) AS x,
        TRY(json_transform(object_in(user_properties), '{
            "user_id": "JSON", "user": "JSON", "id": "JSON", "email": "JSON"
        }')) AS u,
        CASE WHEN event_type = 'model' THEN TRY(json_transform(object_in(outputs), '{
            "finish_reason": "JSON", "choices": [{"finish_reason": "JSON"}]
        }')) END AS o,
        CASE WHEN event_type = 'model' THEN TRY(json_transform(object_in(metrics), '{
            "time_to_first_token_ms": "VARCHAR"
        }')) END AS t
    FROM exported
),
named AS (
    SELECT
        place,
        export_number,
        nullif(event_id, '') AS event_id,
        nullif(session_id, '') AS session_id,
        nullif(parent_id, '') AS parent_id,
        project,
        project_id,
        source,
        event_type,
        event_name,
        start_time,
        end_time,
        coalesce(
            milliseconds_of(duration),
            milliseconds_of(x.duration),
            milliseconds_of(milliseconds_between(start_time, end_time))
        ) AS duration_ms,
        coalesce(error, x.error) AS error,
        coalesce(
            text_of(m.operation_name), text_of(m."gen_ai.operation.name"), text_of(m.gen_ai.operation.name)
        ) AS operation,
        coalesce(
            text_of(c.model), text_of(m.model_name), text_of(m.model),
            text_of(m."gen_ai.response.model"), text_of(m.gen_ai.response.model),
            text_of(m."gen_ai.request.model"), text_of(m.gen_ai.request.model)
        ) AS model,
        coalesce(
            text_of(c.provider), text_of(m.provider),
            text_of(m."gen_ai.provider.name"), text_of(m.gen_ai.provider.name),
            text_of(m."gen_ai.system"), text_of(m.gen_ai.system)
        ) AS provider,
        coalesce(
            tokens_of(m.input_tokens), tokens_of(m.prompt_tokens),
            tokens_of(m."gen_ai.usage.input_tokens"), tokens_of(m.gen_ai.usage.input_tokens),
            tokens_of(m."gen_ai.usage.prompt_tokens"), tokens_of(m.gen_ai.usage.prompt_tokens)
        ) AS input_tokens,
        coalesce(
            tokens_of(m.output_tokens), tokens_of(m.completion_tokens),
            tokens_of(m."gen_ai.usage.output_tokens"), tokens_of(m.gen_ai.usage.output_tokens),
            tokens_of(m."gen_ai.usage.completion_tokens"), tokens_of(m.gen_ai.usage.completion_tokens)
        ) AS output_tokens,
        coalesce(
            tokens_of(m.total_tokens), tokens_of(m."gen_ai.usage.total_tokens"), tokens_of(m.gen_ai.usage.total_tokens)
        ) AS said_total_tokens,
        coalesce(dollars_of(m.cost), dollars_of(m.total_cost)) AS cost,
        coalesce(
            text_of(u.user_id), text_of(u.user), text_of(u.id), text_of(u.email), text_of(m.user_id)
        ) AS user_id,
        text_of(m.trace_id) AS trace_id,
        text_of(m.span_id) AS span_id,
        coalesce(milliseconds_of(t.time_to_first_token_ms), milliseconds_of(m.time_to_first_token_ms))
            AS time_to_first_token_ms,
        coalesce(
            number_of(c.hyperparameters.temperature), number_of(c."hyperparameters.temperature"),
            number_of(c.temperature),
            number_of(m."gen_ai.request.temperature"), number_of(m.gen_ai.request.temperature)
        ) AS temperature,
        coalesce(
            number_of(c.hyperparameters.top_p), number_of(c."hyperparameters.top_p"), number_of(c.top_p),
            number_of(m."gen_ai.request.top_p"), number_of(m.gen_ai.request.top_p)
        ) AS top_p,
        coalesce(
            number_of(c.hyperparameters.max_tokens), number_of(c."hyperparameters.max_tokens"),
            number_of(c.max_tokens),
            number_of(m."gen_ai.request.max_tokens"), number_of(m.gen_ai.request.max_tokens)
        ) AS max_tokens,
        coalesce(
            number_of(c.hyperparameters.presence_penalty), number_of(c."hyperparameters.presence_penalty"),
            number_of(c.presence_penalty),
            number_of(m."gen_ai.request.presence_penalty"), number_of(m.gen_ai.request.presence_penalty)
        ) AS presence_penalty,
        coalesce(
            number_of(c.hyperparameters.frequency_penalty), number_of(c."hyperparameters.frequency_penalty"),
            number_of(c.frequency_penalty),
            number_of(m."gen_ai.request.frequency_penalty"), number_of(m.gen_ai.request.frequency_penalty)
        ) AS frequency_penalty,
        coalesce(
            text_of(o.finish_reason), text_of(o.choices[1].finish_reason), first_text(m.finish_reason),
            first_text(m.finish_reasons), first_text(m."gen_ai.response.finish_reasons"),
            first_text(m.gen_ai.response.finish_reasons)
        ) AS finish_reason
    FROM read
)
SELECT
    * EXCLUDE (said_total_tokens),
    coalesce(said_total_tokens, input_tokens + output_tokens, input_tokens, output_tokens) AS total_tokens,
    coalesce(error NOT IN ('', 'null', 'false', '{}', '[]'), false) AS failed
FROM named
