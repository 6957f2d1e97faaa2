import teams


class Player:
    def __init__(self, team, number):
        self.team, self.number = team, number

    def __str__(self):
        return f"{self.team}#{self.number} of {teams.NAMES[self.team]}"
