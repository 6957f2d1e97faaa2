from email.message import EmailMessage


def send(to):
    message = EmailMessage()
    message["To"] = to
    return str(message["To"])
