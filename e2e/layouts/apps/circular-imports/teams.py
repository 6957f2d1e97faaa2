import players as roster

NAMES = {"red": 2, "blue": 1}


def players(name):
    return [roster.Player(name, n) for n in range(NAMES.get(name, 0))]
