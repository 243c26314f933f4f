"""Heavy work in the background: a queue of trainings, jobs that can be watched and cancelled."""
