"""E-mail by SMTP. The Message-ID is derived from the notice, so a repeat is seen as one mail."""

import smtplib
from email.message import EmailMessage
from email.utils import formatdate

from services.notify.channels.letter import Letter, NotTaken
from services.notify.settings import ChannelSettings

NAME = "email"


def why_off(settings: ChannelSettings) -> str | None:
    return None if settings.smtp_host else "no mail server is set (GUANXI_SMTP_HOST)"


def send(settings: ChannelSettings, letter: Letter) -> str:
    """Hands the letter to the mail server; returns the Message-ID as proof. Raises NotTaken."""
    assert settings.smtp_host, "the channel is off"
    if not letter.address:
        raise NotTaken("the receiver has no e-mail address", final=True)
    message = EmailMessage()
    domain = settings.mail_from.rpartition("@")[2]
    message["Message-ID"] = f"<{letter.notice_id}@{domain}>".replace(":", ".").replace("/", ".")
    message["Date"] = formatdate(localtime=False)
    message["From"] = settings.mail_from
    message["To"] = letter.address
    message["Subject"] = letter.subject
    message.set_content(f"{letter.body}\n\n{letter.link}\n")
    try:
        with smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=10) as server:
            server.send_message(message)
    except smtplib.SMTPResponseException as error:
        raise NotTaken(
            f"{error.smtp_code} {error.smtp_error!r}", final=error.smtp_code >= 500
        ) from error
    except smtplib.SMTPRecipientsRefused as error:
        raise NotTaken(f"the receiver was refused: {error.recipients}", final=True) from error
    except (OSError, smtplib.SMTPException) as error:
        raise NotTaken(str(error), final=False) from error
    return str(message["Message-ID"])
