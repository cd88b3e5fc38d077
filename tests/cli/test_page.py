import pytest

from tms_bridge.cli.allowlist import addresses, shown, sort_key

MARKDOWN = """# Webhooks

Write to 198.51.100.9 if in doubt, or run `ping 198.51.100.8`.

```plaintext
13.65.147.174
13.66.35.217
2001:db8::7
```

1. From the page, select
2
- `172.206.138.0/24`
| 192.0.2.1 |
"""

HTML = """<!DOCTYPE html><html><head><script>var a = "
203.0.113.1
"</script></head><body><p>Write to 198.51.100.9 if in doubt.</p>
<pre><code class="language-plaintext">13.65.147.174
<span>13.66.35.217</span>
2001:db8::7
</code></pre><ul><li>172.206.138.0/24</li></ul><table><tr><td>192.0.2.1</td><td>first</td></tr></table>
&#x200B;</body></html>"""

EXPECTED = ["13.65.147.174", "13.66.35.217", "172.206.138.0/24", "192.0.2.1", "2001:db8::7"]


@pytest.mark.parametrize("page", [MARKDOWN, HTML, MARKDOWN.replace("\n", "\r\n")])
def test_addresses_that_have_a_line_to_themselves_are_read_from_markdown_and_html(page: str) -> None:
    assert EXPECTED == [shown(network) for network in sorted(addresses(page), key=sort_key)]


@pytest.mark.parametrize("mark", ["<![", "<![<!-", "<![>", "<![CDATA[", "<![if IE]>", "<![endif]-->"])
def test_marks_of_other_languages_are_no_more_than_comments(mark: str) -> None:
    page = f"<html><body><p>192.0.2.7</p>{mark}<p>none</p><p>192.0.2.8</p></body></html>"

    assert ["192.0.2.7", "192.0.2.8"] == [shown(one) for one in sorted(addresses(page), key=sort_key)]


@pytest.mark.parametrize(
    "page", ["", "no address", "<html><body><p>none</p></body></html>", "1.2.3\n300.1.1.1\n7\n"]
)
def test_a_page_without_addresses_has_none(page: str) -> None:
    assert addresses(page) == frozenset()
