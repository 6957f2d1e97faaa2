GREETING = "Welcome"
