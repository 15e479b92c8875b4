"""What transformers' Jinja makes of small templates: tests/vectors/chat/jinja.json.

    python3 tests/python/make_jinja.py

Each template is rendered as a chat template, with the variables of ROW. The vector has a template and its text, or null
where Jinja refuses it. Needs transformers.
"""

import json
from pathlib import Path

from transformers.utils.chat_template_utils import render_jinja_template

ROOT = Path(__file__).resolve().parent.parent / "vectors" / "chat"
ROW = {
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi there", "name": "Ann"},
        {"role": "assistant", "content": "Hello", "tool_calls": [{"function": {"name": "f", "arguments": {"b": 1, "a": 2.0}}}]},
        {"role": "user", "content": ""},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "int"}}}}}],
    "chat_template_kwargs": {
        "n": None, "t": True, "no": False, "i": 7, "neg": -7, "f": 1.5, "one": 1.0, "big": 1e20, "small": 1e-7, "zero": 0,
        "s": "one two  three", "e": "", "q": "it's", "u": "Straße ÉÀ", "m": "a\nb\n\nc\n", "num": " 42 ", "cat": "x",
        "l": [3, 1, 2], "strs": ["b", "A", "c", "B"], "mixed": [1, 2.0, None, True, "a", [1], {"k": None}], "el": [],
        "d": {"b": 1, "a": [1, 2.0, None], "C": "x"}, "ed": {}, "nested": {"x": {"y": {"z": "deep"}}, "items": [1, 2], "keys": "k"},
        "rows": [{"n": "b", "v": 2, "g": "x"}, {"n": "a", "v": 1, "g": "y"}, {"n": "c", "v": 3, "g": "x"}, {"v": 4}],
    },
}

# Each line is printed as an expression.
EXPRESSIONS = r"""
n ~ t ~ no
f ~ '|' ~ one ~ '|' ~ big ~ '|' ~ small
l ~ strs
[1, 'a'] ~ 'x'
['a'] ~ 'x'
[1.0, None, True] ~ ''
{'a': 1} ~ ''
{'a': 'it\'s', 'b': None} ~ '!'
(1, 2) ~ ''
('a',) ~ ''
l[1:] ~ ''
(l + [9]) ~ ''
d ~ ''
missing ~ 'x'
'a' ~ missing ~ 'b'
1 ~ 2
1 ~ 2 + 3
'%s' ~ 1
1e16 ~ ''
0.1 + 0.2
1e100 * 10
1e16
1e-5
123456789.123
5 // 2
-5 // 2
5 // -2
-5 // -2
neg // 2
i // -2
i // 2.0
neg // 2.0
7.5 // 2
-7.5 // 2
-5 % 3
5 % -3
-5 % -3
neg % 3
i % -3
7.5 % 2
-7.5 % 2
7.5 % -2
1 / 2
4 / 2
i / 0
i // 0
i % 0
1.0 / 0
2 ** 3
2 ** -1
2 ** 0.5
2.0 ** 3
0 ** 0
(-2) ** 2
-2 ** 2
2 ** 3 ** 2
2 ** 100
10 ** 20
9223372036854775807 + 1
99999999999999999999 * 99999999999999999999
i + f
i - 10
i * f
t + 1
t + t
t * 3
no + 0
-t
+i
-n
-s
'a' * 3
3 * 'a'
'a' * -1
'a' * 0
'a' * 1.5
'a' * t
l * 2
2 * l
l * 0
l * -1
l + l
l + s
s + l
s + i
i + s
l + (1, 2)
(1, 2) + (3,)
[1] + [2] + [3]
d + d
n + 1
missing + 1
1 + missing
'a' + missing
missing + missing
'a %s b' % 'x'
'%d%%' % 5
'%s and %s' % (1, 'b')
1 < 2
1 < 2.0
1 < 'a'
'a' < 1
'a' < 'b'
'B' < 'a'
'é' > 'z'
n < 1
l < [3, 2]
[1] < [1, 2]
t < 2
d < d
missing < 1
1 == 1.0
t == 1
no == 0
n == no
n == missing
'1' == 1
l == [3, 1, 2]
l == (3, 1, 2)
(1, 2) == [1, 2]
[1, 2] == [1.0, 2.0]
[1, 2] == (1, 2)
d == {'C': 'x', 'a': [1, 2.0, None], 'b': 1}
{'a': 1} == {'a': 1.0}
1 != 2
missing == missing
missing == ''
missing == n
1 < 2 < 3
1 < 3 < 2
1 < 2 == true
3 > 2 >= 2
'a' in s
'one' in s
1 in s
n in s
s in missing
'x' in n
'x' in i
3 in l
3.0 in l
t in [1]
'b' in d
1 in d
'b' not in d
'z' in d
[1] in mixed
n in mixed
missing in l
1 in (1, 2)
'' in s
'a' in ['a', 'b']
not missing
not el
not ed
not e
not zero
not 0.0
not n
not [0]
not not 1
el or 'x'
e or n or 'z'
1 and 0
1 and 'b'
n and missing
n or missing
t and no or 'x'
not t or 'y'
'a' if t
'a' if no
('a' if no) is defined
'a' if no else 'b'
'a' if e else 'b' if l else 'c'
(1 if t else 2) + 3
n
t
one
[one, n, t, 'a', q]
mixed
d
ed
el
()
(1,)
(1, 'a')
[]
{}
{'a': {'b': [1, {'c': None}]}}
{1: 'a', True: 'b'}
{'a': 1, 'b': 2}['b']
{'a': 1}.a
{1: 'x'}[1]
{1: 'x'}['1']
{'b': 1, 'a': 2}
{'b': 1, 'a': 2, 'b': 3}
q
[q]
['"', "it's", '\'"']
['\n\t\\', 'é', '\x00', '​']
nested
messages
messages[0]
messages[0].role
messages[0]['role']
messages[-1].content
messages[9]
messages[9].role
messages[0].nope
messages[0].nope.x
messages[0]['nope']
messages['x']
messages[0][0]
messages.0.role
messages[1:]
messages[:1] + messages[2:3]
messages[::-1][0].role
messages | length
d.b
d['b']
d.a[1]
d.zzz
d.items
nested.items
nested['items']
nested.items()
nested.keys
nested['keys']
nested.keys()
nested.items is defined
nested.x.items is defined
d.get
d.get is defined
d.update is defined
d.pop('b')
d.values() | list
d.keys() | list
d.items() | list
d.items()
d.keys()
d.values()
d.get('b')
d.get('z')
d.get('z', 'w')
d.get('z', default='w')
d.get('a')[0]
d.copy()
ed.items() | list
'b' in d.keys()
d.keys() | first
d.items() | length
s.upper
s.upper is defined
s.title is defined
s.nope is defined
s.nope
s.nope()
s.length
l.append(4)
l.copy()
l.index(1)
l.index(9)
l.count(1)
l.sort()
l.reverse()
l.pop()
l.first
l.0
l[0]
l['0']
l[-1]
l[-4]
l[5]
l[1.0]
l[t]
s[0]
s[-1]
s[100]
s['x']
n[0]
n.x
i[0]
i.x
missing
missing.x
missing[0]
missing()
missing.x.y
s[1:3]
s[:3]
s[-3:]
s[::2]
s[::-1]
s[3:1]
s[100:]
s[:-100]
s[-100:2]
s[5:2:-1]
s[2::-1]
s[:2:-1]
s[-2:-5:-1]
s[::-2]
s[100::-1]
s[::0]
s[n:2]
s[0:n]
e[::-1]
e[1:2]
l[1:]
l[:-1]
l[::-1]
l[::2]
l[5:]
l[2:0:-1]
l[:0:-1]
l[-1:]
l[1:][0]
l[1:] | length
l[::-1][0]
l[:2] == [3, 1]
el[::-1]
el[1:]
(1, 2, 3)[1:]
(1, 2, 3)[::-1]
range(5)[1:3]
range(5)
range(3) | list
range(1, 4) | list
range(5, 0, -2) | list
range(0, 10, 3) | list
range(-1)
range(0) | list
range(5)[2]
range(3) | length
range(i) | sum
n[1:]
missing[1:]
i[1:]
d[1:]
s.strip()
' x '.strip() ~ '|'
'xxaxx'.strip('x')
'\n\t a \n'.strip() ~ '|'
'\n a'.lstrip('\n') ~ '|'
s.split()
s.split(' ')
s.split(' ', 1)
s.split(None, 1)
s.split(maxsplit=1)
s.split(sep=' ')
s.split('two')
s.split('')
s.split('zz')[0]
''.split()
''.split(',')
s.rsplit(' ', 1)
s.rsplit(None, 1)
s.rsplit()
m.splitlines()
m.splitlines(True)
m.splitlines(keepends=True)
'a\r\nb\rc'.splitlines()
s.upper()
u.upper()
u.lower()
u.casefold()
u.title()
u.capitalize()
u.swapcase()
'ßa'.title()
'ǆa'.title()
'ΑΣ'.lower()
"they're bill's".title()
'hello-world foo_bar 3a'.title()
'3a a3b'.title()
s.startswith('one')
s.startswith(('x', 'one'))
s.startswith('two', 4)
s.startswith('one', 0, 2)
s.startswith(['one'])
s.endswith('three')
s.endswith(('x', 'ee'))
s.startswith('')
s.replace('o', '0')
s.replace('o', '0', 1)
s.replace('o', '0', count=1)
s.replace('', '-')
'abc'.replace('', '-')
'abc'.replace('', '-', 2)
s.replace('o', 1)
s.find('two')
s.find('zz')
s.find('e', 5)
s.find('e', 5, 8)
s.rfind('e')
s.index('two')
s.index('zz')
s.count('e')
s.count('')
s.count('o', 3)
'aaa'.count('aa')
s.join(['a', 'b'])
','.join(strs)
','.join([1, 2])
','.join('abc')
','.join(d)
','.join(n)
s.isdigit()
'42'.isdigit()
'4²'.isdigit()
'4²'.isdecimal()
'½'.isnumeric()
'٤'.isdigit()
'٤'.isdecimal()
'½'.isdigit()
'abc'.isalpha()
'ab1'.isalnum()
'x₂'.isalnum()
'½'.isalnum()
'é'.isalpha()
'हिंदी'.isalpha()
'हिंदी'.isalnum()
'हि₂ⅧⓐĐ'.isalnum()
'हिंदी भाषा' | wordcount
'一二'.isnumeric()
'一丁'.isnumeric()
'京'.isnumeric()
'ΟΔΟΣ'.casefold()
'ıẞᎠꭰ'.casefold()
'ΟΔΟΣ ΟΣ'.title()
'ΟΔΟΣ'.capitalize()
'ΟΔΟΣ x'.swapcase()
'ΟΔΟΣ ΟΣ' | title
'ΟΔΟΣ' | capitalize
'ᾳ ŉ აბ'.title()
'Aǅ'.isupper()
'aǅ' is lower
['\u061c\u0600\ufffa', '\U000e0041\U000f0000', '\u0378']
namespace(a=1) is mapping
namespace(a=1) is iterable
namespace(a=1) is sequence
namespace(a=1) | length
namespace(a=1) | list
namespace(a=1) | items | list
namespace(a=1) | dictsort
namespace(a=1).items()
namespace(a=1) == {'a': 1}
'a' in namespace(a=1)
dict(namespace(a=1))
dict([([1], 2)])
d.get([1])
'ᾈ'.isupper()
'ǅ'.isupper()
'ǅ'.istitle()
'ª'.islower()
'ⓐ'.islower()
'Abc Def'.istitle()
'abc'.islower()
'ABC1'.isupper()
'123'.isupper()
' '.isspace()
''.isspace()
'abc'.isascii()
'é'.isascii()
'a_1'.isidentifier()
'abc'.isprintable()
'ab'.center(6) ~ '|'
'ab'.ljust(5) ~ '|'
'ab'.rjust(5) ~ '|'
'ab'.rjust(5, '0')
'42'.zfill(5)
'-42'.zfill(5)
'a\tb'.expandtabs(4)
'abc'.partition('b')
'abc'.partition('z')
'abc'.rpartition('b')
'abc'.rpartition('z')
'abc'.partition('')
'abc'.removeprefix('a')
'abc'.removesuffix('c')
'abc'.encode()
'{} {}'.format(1, 'a')
'{0} {a}'.format(1, a=2)
'{:5d}|'.format(3)
'{{}}'.format(1)
'%s' | format(1)
'%s-%s' | format('a', 2)
'%5.2f' | format(2.5)
'%(a)s' | format(a=1)
'abc'.translate({97: 'x'})
s | upper
u | upper
u | lower
s | title
"they're bill's" | title
'hello-world foo_bar (x) [y] {z} <w> 3a' | title
'a:b a/b a.b' | title
'fOO bAR' | title
u | capitalize
i | upper
n | upper
l | upper
missing | upper
t | lower
f | title
s | capitalize
'éa BC' | capitalize
s | length
l | length
d | length
n | length
i | length
missing | length
e | count
s | reverse
l | reverse | list
l | reverse
u | reverse
s | trim
'xxaxx' | trim('x')
'xxaxx' | trim(chars='x')
i | trim
n | trim
missing | trim
s | replace('o', '0')
s | replace('o', '0', 1)
s | replace('o', '0', count=1)
s | replace('o', 0)
i | replace(7, 8)
s | wordcount
"it's a-b c_d 3.5 é ñandú" | wordcount
'  ' | wordcount
'a,b;c' | wordcount
l | first
el | first
e | first
s | first
d | first
missing | first
l | last
el | last
s | last
d | last
s | list
d | list
n | list
i | list
missing | list
(1, 2) | list
l | join
l | join(', ')
strs | join('-')
mixed | join('|')
d | join
s | join('.')
rows | join(',', attribute='v')
rows | join(',', 'v')
l | join(d=', ')
missing | join(',')
n | join
i | join
l | join(1)
[[1, 'a'], {'k': n}] | join(';')
l | sort
strs | sort
strs | sort(case_sensitive=true)
strs | sort(reverse=true)
strs | sort(true)
strs | sort(true, true)
mixed | sort
[2, 1.5, True] | sort
[n, 1] | sort
['a', 1] | sort
rows[:3] | sort(attribute='v') | map(attribute='n') | join
rows[:3] | sort(attribute='n', reverse=true) | map(attribute='n') | join
rows[:3] | sort(attribute='g,n') | map(attribute='n') | join
rows | sort(attribute='n')
d | sort
s | sort | join
missing | sort
[[2, 1], [1, 5]] | sort
['b', 'a', 'B', 'A'] | sort
['ä', 'z', 'Z', 'a'] | sort
l | min
l | max
strs | min
strs | max
strs | max(case_sensitive=true)
strs | min(true)
['b', 'A', 'c'] | min
['a', 'A'] | min
['A', 'a'] | max
['a', 'A', 'b', 'B'] | max
el | min
el | max
mixed | max
rows[:3] | max(attribute='v')
rows[:3] | min(attribute='n')
d | min
s | max
[1, 1.0, true] | max
[1.0, 1] | min
missing | max
l | sum
rows | sum(attribute='v')
rows | sum('v')
rows | sum('v', 10)
l | sum(start=10)
el | sum
[1.5, 2] | sum
[0.1, 0.2, 0.3] | sum
strs | sum
[[1], [2]] | sum(start=[])
missing | sum
strs | unique | list
strs | unique(case_sensitive=true) | list
[1, 1.0, true, 2] | unique | list
rows | map(attribute='g') | list
rows | unique(attribute='g') | map(attribute='v') | list
'abcA' | unique | join
i | abs
neg | abs
-1.5 | abs
n | abs
s | abs
t | abs
2.5 | round
3.5 | round
0.5 | round
-0.5 | round
-2.5 | round
2.567 | round(2)
2.675 | round(2)
2.4 | round
2.5 | round(0)
2.5 | round | int
2.1 | round(method='ceil')
2.9 | round(method='floor')
-2.1 | round(0, 'floor')
2.123 | round(2, 'ceil')
1234.5 | round(-2)
1250 | round(-2)
i | round
i | round(2)
1e20 | round
1.005 | round(2)
2.5 | round(method='x')
s | round
n | round
42.55 | round(1)
1.45 | round(1)
'42' | int
num | int
' -3 ' | int
'+3' | int
'3.7' | int
'1e3' | int
'abc' | int
'abc' | int(5)
'abc' | int(default=5)
'0x1f' | int(0, 16)
'1f' | int(base=16)
'101' | int(0, 2)
'0b11' | int(base=2)
'1_000' | int
3.9 | int
-3.9 | int
1e30 | int
big | int
t | int
n | int
n | int(3)
l | int
missing | int
'inf' | int
'nan' | int(1)
'12345678901234567890' | int
'٤' | int
'2.5' | float
'abc' | float
'abc' | float(1.5)
'abc' | float(default=2.5)
' 1e3 ' | float
'1_0.5' | float
'inf' | float
'nan' | float
'-infinity' | float
i | float
t | float
n | float
l | float
missing | float
'٤' | float
'1.' | float
'.5' | float
'0x1' | float
i | string
f | string
l | string
n | string
d | string
big | string
missing | string
(l | string) is string
s | default('x')
missing | default('x')
missing | default
missing.x | default('y')
e | default('x')
e | default('x', true)
e | default('x', boolean=true)
n | default('x')
n | default('x', true)
no | d('x', true)
missing | d(default_value='q')
missing | default(missing)
d | dictsort
d | dictsort(true)
d | dictsort(case_sensitive=true)
{'b': 1, 'a': 2} | dictsort(by='value')
{'b': 1, 'a': 2} | dictsort(false, 'value', true)
{'b': 1, 'a': 2} | dictsort(reverse=true)
{'b': 'x', 'a': 'B', 'c': 'a'} | dictsort(by='value')
{'b': 1, 'a': 'x'} | dictsort(by='value')
{1: 'a', 'b': 2} | dictsort
l | dictsort
d | dictsort(by='zzz')
d | items | list
n | items
l | items
missing | items | list
d | list | join(',')
d | attr('b')
d | attr('items')
messages[0] | attr('role')
s | attr('upper')
s | attr('nope')
rows | map(attribute='n') | list
rows | map(attribute='n', default='-') | list
rows | map(attribute='n', default=n) | list
rows | map('length') | list
strs | map('upper') | list
strs | map('lower') | join(',')
strs | map('replace', 'b', 'x') | list
l | map('string') | list
l | map('string') | join('+')
l | map('nosuch') | list
l | map
strs | map('first') | list
messages | map(attribute='role') | join(' ')
messages | map(attribute='content') | map('length') | list
rows | map(attribute='v') | sum
nested | map('upper') | list
messages | map(attribute='tool_calls.0.function.name') | list
tools | map(attribute='function.name') | join
tools | map(attribute='function.parameters.properties') | list
[[1, 2], [3, 4]] | map(attribute=1) | list
[[1, 2], [3, 4]] | map(attribute='1') | list
[[1, 2], [3, 4]] | map('first') | list
messages | selectattr('role', 'equalto', 'user') | list | length
messages | selectattr('role', '==', 'user') | map(attribute='content') | list
messages | selectattr('name') | list | length
messages | selectattr('name', 'defined') | map(attribute='name') | join
messages | rejectattr('role', 'in', ['user', 'system']) | map(attribute='role') | list
messages | selectattr('tool_calls') | map(attribute='role') | list
messages | selectattr('role', 'eq', 'user') | first
messages | selectattr('role', 'nosuch', 1) | list
rows | selectattr('v', 'gt', 2) | map(attribute='v') | list
rows | rejectattr('n', 'undefined') | map(attribute='n') | list
rows | selectattr('v', 'odd') | map(attribute='v') | list
rows | selectattr | list
l | select('odd') | list
l | select('gt', 1) | list
l | reject('odd') | list
mixed | select | list
mixed | reject | list
mixed | select('string') | list
mixed | select('none') | list
l | select('in', [1, 2]) | list
l | select('nosuch') | list
l | select('equalto', 1) | list
rows | groupby('g') | list | length
rows[:3] | groupby('g') | map(attribute='grouper') | list
rows[:3] | groupby('g') | map('first') | list
rows[:3] | groupby('g') | map(attribute='list') | map('length') | list
rows | groupby('g', default='z') | map(attribute='grouper') | list
['a', 'B', 'A', 'b'] | groupby('0')
[{'k': 'B'}, {'k': 'a'}, {'k': 'b'}] | groupby('k') | map('first') | list
l | batch(2) | list
l | batch(2, 'x') | list
l | slice(2) | list
[1, 2, 3, 4, 5] | slice(3) | list
[1, 2, 3, 4, 5] | slice(3, 'x') | list
range(7) | batch(3) | map('sum') | list
m | indent
m | indent(2)
m | indent(2, true)
m | indent(2, blank=true)
m | indent('> ')
m | indent(width=1, first=True)
e | indent(2, true)
'a' | indent(first=true)
i | indent
'<a href="x">&\'' | e
'<a>' | escape
'<a>' | safe
'<a>' | forceescape
i | e
l | e
'<a>' | e | upper
('<a>' | e) ~ '<b>'
('<a>' | e) + '<b>'
'<b>' + ('<a>' | e)
'<a>' | e | e
['<a>' | e, '<b>'] | join(' & ')
['<a>', '<b>'] | join('<c>' | e)
('<a>' | safe) + '<b>'
('<a>' | safe) ~ '<b>'
('<a>' | e) | length
('<a>' | e) | replace('a', '<')
['<a>' | e]
('<a>' | safe) is string
'<a>' | safe | e
'<b>x</b> y' | striptags
'a b c d e f' | truncate(7)
'abc def' | truncate(5, true)
'abc' | truncate(3)
'a b c d e f' | truncate(7, true, '..', 0)
'abc def ghi' | wordwrap(5)
'abc def' | center(11) ~ '|'
'a b' | urlencode
'http://x.y z' | urlize
1000000 | filesizeformat
{'a': 1, 'b': n} | xmlattr
d | pprint
l | random
s | lines
s | split
s | split(' ')
l | zip(strs) | list
l | chain(strs) | list
l | bool
d | tojson
mixed | tojson
messages[2] | tojson
messages | tojson
messages | tojson(indent=2)
d | tojson(indent=4)
d | tojson(indent=0)
d | tojson(indent='--')
d | tojson(indent=n)
el | tojson(indent=2)
[[], {}] | tojson(indent=2)
d | tojson(sort_keys=true)
d | tojson(separators=(',', ':'))
d | tojson(separators=[',', ':'], indent=1)
d | tojson(ensure_ascii=true)
u | tojson
u | tojson(ensure_ascii=true)
u | tojson(true)
'\u007f\u2028<>&\'"/' | tojson
'😀' | tojson(ensure_ascii=true)
f | tojson
one | tojson
big | tojson
small | tojson
n | tojson
t | tojson
e | tojson
l | tojson
(1, 2) | tojson
range(3) | tojson
range(3) | list | tojson
l[1:] | tojson
(l + [1]) | tojson
(l | reverse) | tojson
(l | map('string')) | tojson
(l | map('string') | list) | tojson
missing | tojson
[missing] | tojson
{'a': missing} | tojson
{1: 2} | tojson
{1: 2, 'a': 3} | tojson(sort_keys=true)
{1.5: 2, n: 3, t: 4} | tojson
{(1, 2): 3} | tojson
d.items() | tojson
d.items() | list | tojson
d.keys() | tojson
d.keys() | list | tojson
namespace(a=1) | tojson
dict(a=1) | tojson
raise_exception | tojson
1e400 | tojson
-0.0 | tojson
123456789012345678901234567890 | tojson
missing is defined
n is defined
d.b is defined
d.z is defined
d.z.y is defined
missing.x is defined
missing is undefined
n is none
missing is none
s is string
i is string
('<a>' | e) is string
i is number
f is number
t is number
'1' is number
n is number
i is integer
t is integer
one is integer
f is float
i is float
t is boolean
i is boolean
l is sequence
s is sequence
d is sequence
(1,) is sequence
range(3) is sequence
l[1:] is sequence
d.items() is sequence
d.keys() is sequence
i is sequence
n is sequence
missing is sequence
(l | map('string')) is sequence
(l | reverse) is sequence
l is iterable
s is iterable
d is iterable
i is iterable
n is iterable
(l | map('string')) is iterable
d is mapping
l is mapping
n is mapping
missing is mapping
s is mapping
i is odd
i is even
neg is odd
f is odd
i is divisibleby 7
i is divisibleby(2)
i is divisibleby 0
i is eq 7
i is equalto 7.0
i is ne 7
i is gt 3
i is ge 7
i is lt 3
i is le 3
i is greaterthan 3
i is lessthan 3
3 is in l
3 is in(l)
9 is not in l
's' is in s
s is sameas s
i is sameas 7
t is sameas true
1 is sameas true
1.0 is sameas 1
n is sameas none
l is sameas [3, 1, 2]
t is true
1 is true
i is true
no is false
0 is false
n is false
s is lower
s is upper
'ABC' is upper
'' is lower
raise_exception is callable
range is callable
s is callable
d is callable
namespace is callable
s.upper is callable
missing is callable
l in d
{[1]: 2}
{(1, [2]): 2}
rows | unique | list
missing | attr('x')
(l | unique).count(1)
'upper' is filter
'nosuch' is filter
'odd' is test
s is escaped
('a' | safe) is escaped
s is nosuch
not missing is defined
missing is not defined
i is not none
t is boolean and i is number
l is iterable and l is not string
dict(a=1, b=2)
dict({'a': 1}, b=2)
dict([('a', 1), ('b', 2)])
dict(d, **{'z': 1})
dict(**d)
dict(a=1).a
dict()
namespace(a=1).a
namespace(a=1)
namespace({'a': 1}).a
namespace(_x=1)
cycler('a', 'b').next()
joiner(', ')
lipsum(1)
debug()
self
loop
messages[0].content.strip().upper()[:2] ~ '!'
(s | upper)[0]
(s.split() | last)[1:]
[1, 2, 3][1:] | first
'a' 'b'
'a' "b" 'c' | upper
"\x41\u00e9\U0001F600"
'\a\b\f\v\0'
'\101'
'\q'
'a\
b'
1_000
0x1F
0b11
0o17
1.5e3
1e3
.5
1.
true
True
TRUE
none
None
null
false
False
s|upper|lower
s is string and not s is number
[1, 2,]
{'a': 1,}
(1)
((1, 2), 3)
[x for x in l]
lambda x: x
l if l else 'none'
s == 'one two  three' and 'yes' or 'no'
{'a': 'x'}[cat ~ ''] | default('none')
{'x': 'y'}[cat]
loop is defined
strftime_now is defined
raise_exception('stop')
raise_exception is defined
bos_token is defined
add_generation_prompt
tools[0].function.parameters.properties.items() | list
tools[0].function.name
tools[0]['function']['parameters'].properties.x.type
messages[2].tool_calls[0].function.arguments | tojson
messages[2].tool_calls[0].function.arguments.items() | list
messages[2].tool_calls[0].function.arguments is mapping
messages | length - 1
(messages | length) - 1
messages | last | attr('role')
-i | abs
-(i) | string
- i
2 - -2
1 +2
l|length == 3
l|length > 2 and 'long' or 'short'
s.split(' ')[0].title() + '!'
not s.startswith('x') and s.endswith('e')
1 if l else 2 if d else 3
[n, none] == [none, n]
"a" < "b" < "c"
1 == 1 == 1
'x' if 'a' in 'abc' and 'z' not in 'abc' else 'y'
none | map('upper') | list
no | map(attribute='a') | list
zero | select | list
0.0 | reject | list
e | selectattr('a') | list
el | rejectattr('a', 'equalto', 1) | list
missing | map('upper') | list
ed | map(attribute='a') | list
n | selectattr('a') | list | length
n | select | list
n | map('nosuch') | list
n | reject('nosuch') | list
el | map | list
n | selectattr | list
i | map('upper') | list
t | select | list
n | sort
no | sort
n | unique | list
no | unique | list
no | list
n | first
no | first
n | last
no | last
n | reverse | list
no | reverse | list
n | sum
no | sum
n | min
no | min
n | max
no | max
no | join
n | batch(2) | list
no | batch(2) | list
n | slice(2) | list
no | slice(2) | list
n | groupby('a')
no | groupby('a')
n | dictsort
no | dictsort
n | items | list
no | items | list
no | length
no | tojson
no | string
lipsum is defined
joiner is defined
cycler is defined
joiner is callable
joiner(',')()
lipsum(n=1) | length
"""

# Whole templates.
BLOCKS = [
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}",
    "{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }};{% endfor %}",
    "{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }};{% endfor %}",
    "{% for x in [1, 1, 2, 2, 1] %}{{ loop.changed(x) }};{% endfor %}",
    "{% for m in messages %}{% if loop.changed(m.role) %}{{ m.role }};{% endif %}{% endfor %}",
    "{% for x in l %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "{% for x in l %}{{ loop.depth }}{{ loop.depth0 }}{% for y in l %}{{ loop.depth }}{% endfor %};{% endfor %}",
    "{% for x in l %}{{ loop }}{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in l if x > 1 %}{{ x }}{{ loop.index }}{{ loop.last }}{% endfor %}",
    "{% for x in el %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in missing %}{{ x }}{% else %}none{% endfor %}",
    "{% for x in n %}{{ x }}{% endfor %}",
    "{% for x in i %}{{ x }}{% endfor %}",
    "{% for x in s %}{{ x }}.{% endfor %}",
    "{% for k in d %}{{ k }};{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d | dictsort %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d %}{{ k }}{% endfor %}",
    "{% for a, b in [[1, 2], [3, 4]] %}{{ a }}{{ b }};{% endfor %}",
    "{% for a, b in [[1, 2, 3]] %}{{ a }}{% endfor %}",
    "{% for (a, b) in [(1, 2)] %}{{ a }}{{ b }}{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for x in range(3) %}{{ x }}{% endfor %}",
    "{% for x in l | reverse %}{{ x }}{% endfor %}",
    "{% for x in l[1:] %}{{ loop.length }}{{ x }}{% endfor %}",
    "{% for x in l | map('string') %}{{ loop.last }}{{ x }}{% endfor %}",
    "{% for x in l | select('odd') %}{{ loop.length }}{% endfor %}",
    "{% for x in [1, [2, [3]]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}{% endif %}{% endfor %}",
    "{% for x in l %}{% set y = x %}{% endfor %}{{ y }}",
    "{% set y = 0 %}{% for x in l %}{% set y = y + x %}{{ y }};{% endfor %}{{ y }}",
    "{% set ns = namespace(y=0) %}{% for x in l %}{% set ns.y = ns.y + x %}{% endfor %}{{ ns.y }}",
    "{% set ns = namespace() %}{% set ns.a = [] %}{% for x in l %}{% set ns.a = ns.a + [x] %}{% endfor %}{{ ns.a }}",
    "{% set ns = namespace(a=1) %}{{ ns.b }}|{{ ns.b is defined }}|{{ ns['a'] }}",
    "{% set ns = namespace(items=1) %}{{ ns.items }}",
    "{% set ns = namespace(d={}) %}{% set ns.d = dict(ns.d, **{'k': 1}) %}{{ ns.d }}",
    "{% set ns = namespace(a=1) %}{% if ns %}yes{% endif %}",
    "{% set d.z = 1 %}",
    "{% if t %}{% set z = 1 %}{% endif %}{{ z }}",
    "{% with %}{% set z = 1 %}{{ z }}{% endwith %}{{ z }}",
    "{% with z = 2, w = i %}{{ z }}{{ w }}{% endwith %}",
    "{% set z %}a{{ i }}{% endset %}{{ z }}{{ z | length }}",
    "{% set z | upper %}abc{% endset %}{{ z }}",
    "{% set z %}<b>{% endset %}{{ z | e }}",
    "{% set z %}<b>{% endset %}{{ z ~ ('<' | e) }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}",
    "{% set a, b = l %}{{ a }}",
    "{% set a = 1, 2 %}{{ a }}",
    "{% set (a, b) = (1, 2) %}{{ a + b }}",
    "{% macro f(x, y=2) %}{{ x }}{{ y }}{% endmacro %}{{ f(1) }}{{ f(1, 3) }}{{ f(y=4, x=5) }}",
    "{% macro f(x, y=2) %}{{ x }}{{ y }}{% endmacro %}{{ f() }}",
    "{% macro f(x) %}{{ x }}{% endmacro %}{{ f(1, 2) }}",
    "{% macro f(x) %}{{ x }}{{ varargs }}{% endmacro %}{{ f(1, 2, 3) }}",
    "{% macro f(x) %}{{ x }}{{ kwargs }}{% endmacro %}{{ f(1, z=3) }}",
    "{% macro f(x) %}{{ x }}{% endmacro %}{{ f(1, z=3) }}",
    "{% macro f(x) %}[{{ x }}]{% endmacro %}{{ f('a') | upper }}{{ f('a') ~ 'b' }}{{ f('a') + 'b' }}",
    "{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f('a') | e }}",
    "{% macro f(x) %}{% if x > 0 %}{{ x }}{{ f(x - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
    "{% macro f() %}{{ caller() }}!{% endmacro %}{% call f() %}body{% endcall %}",
    "{% macro f() %}{{ caller(1) }}!{% endmacro %}{% call(x) f() %}body{{ x }}{% endcall %}",
    "{% macro f(x) %}{{ i }}{{ x }}{% endmacro %}{{ f(1) }}",
    "{% set z = 1 %}{% macro f() %}{{ z }}{% endmacro %}{% set z = 2 %}{{ f() }}",
    "{% macro f() %}{{ zz }}{% endmacro %}{% set zz = 2 %}{{ f() }}",
    "{% macro f() %}{% endmacro %}{{ f.name }}{{ f is callable }}",
    "{% macro f() %}{% endmacro %}{{ f }}",
    "{% macro f(x) %}{{ x }}{% endmacro %}{{ ['a', 'b'] | map('upper') | list }}{{ f(none) }}{{ f(missing) }}",
    "{% filter upper %}abc{{ s }}{% endfilter %}",
    "{% filter trim | upper %}  abc {% endfilter %}|",
    "{% raw %}{{ x }}{% endraw %}",
    "{# comment #}a{#- b -#} c",
    "a\n{% if t %}\nb\n{% endif %}\nc\n",
    "a\n  {% if t %}  \n  b\n  {% endif %}\nc",
    "a\n  {%- if t -%}  \n  b\n  {%- endif %}\nc",
    "  {%+ if t %}b{% endif %}",
    "{% if t +%}\nb{% endif %}",
    "{{ i -}}  \n x {{- i }}",
    "x  {{ i }}\n\n",
    "x\n",
    "{% if t %}\n{{ i }}\n{% endif %}\n",
    "{% if missing %}a{% elif n %}b{% elif i %}c{% else %}d{% endif %}",
    "{% if missing.x %}a{% endif %}",
    "{% if d.z %}a{% else %}b{% endif %}",
    "{% if 'x' is in s %}a{% else %}b{% endif %}",
    "{% if messages[0]['role'] == 'system' %}{% set sys = messages[0]['content'] %}{% set rest = messages[1:] %}{% else %}{% set rest = messages %}{% endif %}{{ sys }}|{{ rest | length }}",
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('alternate') }}{% endif %}{% endfor %}",
    "{% for m in messages %}{% if m.role not in ['user', 'assistant', 'system'] %}{{ raise_exception('x') }}{% endif %}{{ '<|' + m['role'] + '|>' + m['content'] | trim }}{% endfor %}",
    "{% for m in messages %}{{ m['role'].title() + ': ' + m.get('name', '') ~ '\\n' }}{% endfor %}",
    "{% for tool in tools %}{{ tool | tojson(indent=4) }}{% if not loop.last %}\n{% endif %}{% endfor %}",
    "{% for k, v in tools[0].function.parameters.properties.items() %}{{ k }}: {{ v.type }}{% endfor %}",
    "{% do l %}",
    "{% debug %}",
    "{% block a %}x{% endblock %}",
    "{% block a %}x{{ self.a is defined }}{% endblock %}",
    "{% include 'x' %}",
    "{% import 'x' as y %}",
    "{% extends 'x' %}",
    "{% autoescape true %}{{ '<a>' }}{% endautoescape %}",
    "{% trans %}x{% endtrans %}",
    "{% for x in l %}{{ x }}{% endfor %}{{ x is defined }}",
    "{% for loop in l %}{{ loop }}{% endfor %}",
    "{% set messages = messages[1:] %}{{ messages | length }}",
    "{% set range = 3 %}{{ range }}",
    "{% set x = namespace(l=[]) %}{% for m in messages %}{% if m.role == 'user' %}{% set x.l = x.l + [m] %}{% endif %}{% endfor %}{{ x.l }}",
    "{% set x = 'a' * 3 %}{% set x = x ~ [x] %}{{ x }}",
    "{% set parts = [] %}{% set _ = parts.append('x') %}{{ parts }}",
    "{% set x = d %}{% set _ = x.update({'q': 1}) %}{{ x }}",
    "{{ '{%' }}{{ '}}' }}",
    "{{ \"{{ x }}\" }}",
    "{{ 1 }}{{ }}",
    "{{ 1",
    "{% if %}",
    "{% endif %}",
    "{{ 1 + }}",
    "{{ s.upper( }}",
    "{% for x in %}{% endfor %}",
    "{{ a b }}",
    "{{ [1, 2 }}",
    "{{ 1 ?? 2 }}",
    "{{ i\n+\n1 }}",
    "{%\nif t\n%}a{% endif %}",
    "{{ '%s' % s }}|{{ 'é' * 2 }}|{{ [s] * 2 }}",
    "{% for x in d.values() %}{{ x }};{% endfor %}{% for x in d.keys() %}{{ x }};{% endfor %}",
    "{% for a in rows | groupby('g', default='-') %}{{ a.grouper }}:{{ a.list | length }};{% endfor %}",
    "{% for g, items in rows[:3] | groupby('g') %}{{ g }}:{{ items | map(attribute='n') | join }};{% endfor %}",
    "{% for r in l | batch(2, 0) %}{{ r | join(',') }};{% endfor %}",
    "{%- set x = 'a' -%}\n  {{- x }}\n  {{ x -}}\n",
    "{% generation %}a{{ i }}{% endgeneration %}b",
    "{% for m in messages %}{% if m.content is string %}{% set content = m.content %}{% else %}{% set content = '' %}{% endif %}{{ content }}|{% endfor %}",
    "{{ 'a' if t }}{{ 'b' if no }}",
    "{% set x = 'a' if no %}{{ x is defined }}",
    "{% set x = missing %}{{ x is defined }}{{ x }}",
    "{% set ns = namespace(a=1) %}{{ ns == ns }}{{ [ns] == [ns] }}{{ ns != namespace(a=1) }}",
    "{% for x in l %}{{ loop is mapping }}{{ loop is iterable }}{{ loop is sequence }}{{ loop is callable }}{% endfor %}",
    "{% for x in l %}{{ loop | list }}{% endfor %}",
    "{% macro f() %}{% endmacro %}{{ f is mapping }}{{ f is iterable }}{{ f is sequence }}{{ f is callable }}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(40) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}"
    "{{ ns.x == ns.x }}{{ ns.x < ns.x }}{{ [ns.x] == [ns.x] }}",
    "{% set ns = namespace(x=1) %}{% generation %}{% set ns.x = 2 %}a{% endgeneration %}{{ ns.x }}",
    "{% set ns = namespace(x=1) %}{% generation %}{% if t %}{% for y in l %}{% set ns.x = y %}{% endfor %}{% endif %}{% endgeneration %}{{ ns.x }}",
    "{% set ns = namespace(x=1) %}{% generation %}{% set ns.x %}b{{ i }}{% endset %}{% endgeneration %}{{ ns.x }}",
    "{% set ns = namespace(x=1) %}{% generation %}{% set ns.x | upper %}b{{ i }}{% endset %}{% endgeneration %}{{ ns.x }}",
    "{% set ns = namespace(x=1) %}{% generation %}{% set y, ns.x = 3, 4 %}{{ y }}{% endgeneration %}{{ ns.x }}",
    "{% set ns = namespace(x=1) %}{% generation %}{% set ns.x = 1 if no else 2 %}{% endgeneration %}{{ ns.x }}",
    "{% set ns = namespace(x=1) %}{% generation %}{% set ns.x = missing %}{% endgeneration %}{{ ns.x is defined }}",
    "{% set ns = namespace(x=1) %}{% macro f() %}{% set ns.x = 2 %}a{% endmacro %}{{ f() }}{{ ns.x }}",
    "{% macro f(ns) %}{% set ns.x = 2 %}a{% endmacro %}{% set ns = namespace(x=1) %}{{ f(ns) }}{{ ns.x }}",
    "{% macro f() %}<{{ caller() }}>{% endmacro %}{% set ns = namespace(x=1) %}{% call f() %}{% set ns.x = 2 %}{% endcall %}{{ ns.x }}",
    "{% generation %}{% set ns.x = 2 %}{% endgeneration %}",
    "{% set d.b = 2 %}",
    "{{ messages[0].update({'a': 1}) }}",
    "{{ ''.__class__ }}",
    "{{ s.__len__() }}",
    "{{ d.__class__ }}",
    "{{ d | attr('__class__') }}",
]


def render(template):
    kwargs = ROW["chat_template_kwargs"]
    texts, _ = render_jinja_template(
        [ROW["messages"]], tools=ROW["tools"], chat_template=template, add_generation_prompt=True, **kwargs
    )
    return texts[0]


def main():
    expressions = EXPRESSIONS.replace("\\\nb'", "\x00b'").strip("\n").split("\n")
    templates = ["{{ " + line.replace("\x00", "\\\n") + " }}" for line in expressions] + BLOCKS
    assert len(set(templates)) == len(templates), [t for t in templates if templates.count(t) > 1]
    rendered = []
    for template in templates:
        try:
            text = render(template)
        except Exception as error:
            print(f"{template!r}: {type(error).__name__}: {error}"[:150])
            text = None
        # What Python prints of its own objects is no text of a template.
        if text is not None and (" at 0x" in text or "random" in template or "lipsum(" in template):
            print(f"{template!r}: {text[:60]!r}")
            text = None
        rendered.append([template, text])
    # As a text: its keys have an order.
    row = json.dumps(json.dumps(ROW, ensure_ascii=False), ensure_ascii=False)
    lines = ",\n".join(json.dumps(pair, ensure_ascii=False) for pair in rendered)
    (ROOT / "jinja.json").write_text(f'{{"row": {row},\n"templates": [\n{lines}\n]}}\n', encoding="utf-8")
    print(len(rendered), "templates")


if __name__ == "__main__":
    main()
