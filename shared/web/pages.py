"""Pages: templates, both languages, the frame.

How a service writes a page
- Templates are in services/<x>/pages/templates; a page says {% extends "frame.html" %} and fills
  the blocks `title`, `content` and, if it is live, `audiences`. `macros.html` has the pieces.
- Every text is {{ _("English") }} with values as {{ _("%(count)s new", count=n) }} (a literal
  percent sign is %%), its Chinese in services/<x>/pages/locale/zh_CN.po. That file is the
  service's own, so several people can write pages at the same time; it is merged with the shared
  catalogue when the service starts. `python -m shared.web.translations extract` adds new texts,
  `check` (in `make check`) fails while one has no Chinese. Texts in Python code: N_("English").
- No inline script or style, neither tags nor attributes: the policy of the gateway refuses them.
  Widths and the like: data-width="42%" (guanxi.js sets it); a script of a page is an asset.
- Figures go through the filters money, number, ppm, instant and business_date.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request

from shared.web.assets import asset_url
from shared.web.formats import Formats
from shared.web.menu import menu_of
from shared.web.translations import (
    CHINESE,
    LANGUAGES,
    N_,
    Texts,
    language_of,
    load_texts,
    normal_language,
)

TEMPLATES = Path(__file__).resolve().parent / "templates"
SHARED_ALONE = frozenset({"ops_fragment.html"})  # the same words, whichever service serves it

# What an error page says: what happened, and what to do.
ERROR_TEXTS: dict[int, tuple[str, str]] = {
    400: (N_("This request cannot be understood"), N_("Go back and try once more.")),
    401: (N_("You are not signed in"), N_("Sign in and you come back to this page.")),
    403: (
        N_("You may not see this"),
        N_("Your roles do not include it. Ask your branch head if you need it for your work."),
    ),
    404: (
        N_("There is nothing here"),
        N_("The address may be mistyped, or the record is outside of what you may see."),
    ),
    409: (
        N_("This has changed in the meantime"),
        N_("Nothing was changed. Load the page again and decide on what it shows now."),
    ),
    413: (N_("That is too large"), N_("At most 1 MB can be sent at once.")),
    500: (
        N_("Something went wrong here"),
        N_("Nothing of this step was saved. Try again; if it stays, report the number below."),
    ),
    502: (
        N_("This part is not answering"),
        N_("The rest of Guanxi works on."),
    ),
    503: (
        N_("This part is not ready yet"),
        N_("It is starting or busy."),
    ),
}

# What shared.http says; listed here so that the catalogue holds them.
API_TEXTS = (
    N_("Sign in again."),
    N_("Sign-in is not available. Try again."),
    N_("Some fields are not valid."),
    N_("A part is not available. Nothing was saved. Try again."),
    N_("The request failed. Nothing was saved."),
)
# A framework's bare phrase says nothing that the title does not.
PHRASES = frozenset(status.phrase for status in HTTPStatus)


class Person(Protocol):
    """Who reads the page: `shared.policy.Actor`, or anything with these."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def permissions(self) -> Collection[str]: ...


class PageSettings(Protocol):
    """The part of the settings that a page shows."""

    @property
    def service(self) -> str: ...
    @property
    def zone(self) -> ZoneInfo: ...


class Pages:
    """The template environments of one process, one per language."""

    def __init__(
        self,
        template_dirs: Sequence[Path] = (),
        *,
        zone: ZoneInfo | None = None,
        currency: str = "CNY",
        auto_reload: bool = False,
    ) -> None:
        self._zone = zone or ZoneInfo("Asia/Shanghai")
        self._currency = currency
        self._auto_reload = auto_reload
        self._dirs = [Path(folder) for folder in template_dirs]
        self._texts = {language: self._load(language) for language in LANGUAGES}
        # The menu reads the same on every service's pages, whatever words its own texts prefer.
        self._frame_texts = {language: load_texts(language, []) for language in LANGUAGES}
        self._environments = {
            language: self._environment(language, self._texts[language]) for language in LANGUAGES
        }
        self._shared = {
            language: self._environment(language, self._frame_texts[language])
            for language in LANGUAGES
        }

    def render(
        self,
        template: str,
        /,
        *,
        actor: Person | None = None,
        request: Request | None = None,
        bank_now: datetime | None = None,
        bank_factor: float = 1.0,
        settings: PageSettings | None = None,
        correlation_id: str = "",
        language: str | None = None,
        **values: object,
    ) -> str:
        """The HTML of a page or fragment. Without an actor the frame has no menu and no stream.

        `bank_factor`: bank seconds per second, so that the date in the frame moves by itself.
        """
        chosen = normal_language(language) or _language(request, actor)
        zone = settings.zone if settings is not None else self._zone
        permissions = frozenset(actor.permissions) if actor is not None else frozenset()
        local = bank_now.astimezone(zone) if bank_now is not None else None
        frame = {
            "actor": actor,
            "language": chosen,
            "permissions": permissions,
            "menu": [
                replace(entry, label=self._frame_texts[chosen].gettext(entry.label))
                for entry in menu_of(permissions)
            ],
            "path": browser_path(request, settings.service if settings is not None else None),
            "business_day": local.date() if local is not None else None,
            "bank_now_local": local.isoformat(timespec="seconds") if local is not None else "",
            "bank_factor": bank_factor,
            "bank_now": bank_now,
            "request": request,
            "settings": settings,
            "correlation_id": correlation_id,
        }
        environments = self._shared if template in SHARED_ALONE else self._environments
        return environments[chosen].get_template(template).render({**frame, **values})

    def render_error(
        self,
        *,
        status: int,
        correlation_id: str,
        code: str = "",
        message: str = "",
        request: Request | None = None,
        language: str | None = None,
        retry_s: int | None = None,
    ) -> str:
        """The page of an error. `message` is a msgid, or already in the reader's language."""
        chosen = normal_language(language) or _language(request, None)
        texts = self.texts(chosen)
        title, advice = ERROR_TEXTS.get(status, ERROR_TEXTS[500 if status >= 500 else 400])
        return self.render(
            "error.html",
            request=request,
            language=chosen,
            correlation_id=correlation_id,
            status=status,
            code=code,
            error_title=texts.gettext(title),
            error_detail="" if message in PHRASES else texts.gettext(message),
            advice=texts.gettext(advice),
            retry_s=retry_s,
        )

    def texts(self, language: str) -> Texts:
        return self._texts[normal_language(language) or CHINESE]

    def _load(self, language: str) -> Texts:
        name = f"{language.replace('-', '_')}.po"
        return load_texts(language, [folder.parent / "locale" / name for folder in self._dirs])

    def _environment(self, language: str, texts: Texts) -> Environment:
        loaders = [FileSystemLoader(folder) for folder in (*self._dirs, TEMPLATES)]
        environment = Environment(
            loader=ChoiceLoader(loaders),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            extensions=["jinja2.ext.i18n", "jinja2.ext.do", "jinja2.ext.loopcontrols"],
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=self._auto_reload,
        )
        install = partial(environment.install_gettext_callables, newstyle=True)  # type: ignore[attr-defined]
        install(texts.gettext, texts.ngettext)
        environment.globals["asset"] = asset_url
        environment.filters.update(Formats(language, self._zone, self._currency).filters())
        environment.filters["in_language"] = partial(in_language, language)
        return environment


def browser_path(request: Request | None, service: str | None = None) -> str:
    """The address as the browser sees it: the gateway strips /<service> and says so."""
    if request is None:
        return "/"
    prefix = request.headers.get("x-forwarded-prefix") or (f"/{service}" if service else "")
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{prefix}{request.url.path}{query}"


def _language(request: Request | None, actor: Person | None) -> str:
    if actor is not None:
        return normal_language(actor.language) or CHINESE
    headers = request.headers if request is not None else {}
    asked = headers.get("x-guanxi-language") or headers.get("accept-language")
    return language_of(asked)


def in_language(language: str, text: Mapping[str, str] | str | None) -> str:
    """A text that its writer gave in both languages, in the reader's."""
    if text is None:
        return ""
    if isinstance(text, str):
        return text
    return text.get(language) or text.get(CHINESE) or next(iter(text.values()), "")
