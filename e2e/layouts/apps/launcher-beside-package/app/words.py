WORDS = ["ash", "birch"]
