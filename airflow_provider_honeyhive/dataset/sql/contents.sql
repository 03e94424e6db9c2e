-- What the chosen calls say.
SELECT place, failed, inputs, outputs, exported.config, exported.metadata
FROM chosen JOIN calls USING (place) JOIN exported USING (place)
