"""What operators, sensors and triggers share of Airflow: arguments, the run's window, state, assets."""
