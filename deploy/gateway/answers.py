"""What the gateway itself says: pages for people, problem documents for programs."""

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from deploy.gateway.settings import GatewaySettings
from shared.web.pages import ERROR_TEXTS, Pages
from shared.web.translations import language_of, normal_language

PROBLEM = "application/problem+json"


class Answers:
    """In the reader's language: chosen by cookie, else the session's, else the browser's."""

    def __init__(self, pages: Pages, settings: GatewaySettings) -> None:
        self._pages = pages
        self._settings = settings

    def chosen_language(self, request: Request) -> str | None:
        return normal_language(request.cookies.get("guanxi_language"))

    def language(self, request: Request) -> str:
        own = request.scope.get("session_language")
        accepted = None if own else request.headers.get("accept-language")
        return self.chosen_language(request) or language_of(accepted, own)

    def wants_page(self, request: Request) -> bool:
        return (
            "text/html" in request.headers.get("accept", "") and "hx-request" not in request.headers
        )

    def error(
        self, request: Request, status: int, message: str = "", retry_s: int | None = None
    ) -> Response:
        """`message` is a msgid."""
        language = self.language(request)
        correlation_id: str = request.scope["correlation_id"]
        headers = {"retry-after": str(retry_s)} if retry_s else {}
        if status == 401:
            headers["www-authenticate"] = "Bearer"
        if self.wants_page(request):
            body = self._pages.render_error(
                status=status,
                correlation_id=correlation_id,
                message=message,
                request=request,
                language=language,
                retry_s=retry_s,
            )
            return HTMLResponse(body, status, headers)
        texts = self._pages.texts(language)
        title, advice = ERROR_TEXTS.get(status, ERROR_TEXTS[500 if status >= 500 else 400])
        problem = {
            "code": f"http_{status}",
            "message": texts.gettext(message or title),
            "detail": texts.gettext(advice),
            "correlation_id": correlation_id,
        }
        return JSONResponse(problem, status, headers, media_type=PROBLEM)

    def page(self, request: Request, template: str, status: int = 200) -> Response:
        body = self._pages.render(template, request=request, language=self.language(request))
        return HTMLResponse(body, status)
