"""The canary: synthetic people, planted in a real load and searched for in all that it left behind."""
