"""Starlark helpers that every metered contract runs on: steps, sizes, the crossings to the host.

Written in Starlark itself, so that whoever executes a contract executes the same checks. The meter `m` is a list of
two numbers that only fall: steps left, and cells left (characters, items) over all values made. A helper that finds a
limit crossed asks the host to stop with a code; the interpreter's own message is never part of a result.

Values are bounded one by one (text 16,384 characters, lists 65,536 items, integers 256 bits) and together (cells).
What is compared, hashed, sorted or printed is a scalar, or measured first, because a list that holds itself twice in
forty levels is small to hold and endless to walk.
"""
# tidy: long, because it is one Starlark program, and cutting it would only hide that

from typing import Final

TEXT_MAX: Final = 16_384
LIST_MAX: Final = 65_536
NEST_MAX: Final = 8
"""Levels of a value that crosses to the host."""

_HELPERS: Final = """
_INT = 1 << 256
_LEAST = -_INT
_SMALL = 1 << 30
_TINY = -_SMALL
_CROSSING = 1 << 63
_SCALAR = {"int": 1, "string": 1, "bool": 1, "NoneType": 1}

def _t(m, n):
    left = m[0] - n
    m[0] = left
    if left < 0:
        _host_stop("contract-steps")
    return m

def _c(m, n):
    left = m[1] - n
    m[1] = left
    if left < 0:
        _host_stop("contract-size")
    if n > 64:
        _t(m, n // 16)

def _i(r):
    # Comparing with a number of 256 bits costs more than most calculations.
    if r < _SMALL and r > _TINY:
        return r
    return _large(r)

def _large(r):
    if r >= _INT or r <= _LEAST:
        _host_stop("contract-size")
    return r

def _ints(a, b):
    if type(a) != "int" or type(b) != "int":
        _host_stop("contract-failed")

def _k(m, a):
    if type(a) not in _SCALAR:
        _host_stop("contract-failed")
    return a

def _scalars(m, xs):
    _t(m, len(xs))
    for x in xs:
        if type(x) not in _SCALAR:
            _host_stop("contract-failed")

def _made(m, a, n):
    if n > (TEXT_MAX if type(a) == "string" else LIST_MAX):
        _host_stop("contract-size")
    _c(m, n)

def _add(m, a, b):
    if type(a) == "int":
        r = a + b
        return r if r < _SMALL and r > _TINY else _large(r)
    _made(m, a, len(a) + len(b))
    return a + b

def _sub(m, a, b):
    if type(a) != "int" or type(b) != "int":
        _host_stop("contract-failed")
    r = a - b
    return r if r < _SMALL and r > _TINY else _large(r)

def _mul(m, a, b):
    if type(a) == "int" and type(b) == "int":
        return _i(a * b)
    if type(a) == "int":
        a, b = b, a
    if type(b) != "int":
        _host_stop("contract-failed")
    _made(m, a, len(a) * max(b, 0))
    return a * b

def _fdiv(m, a, b):
    _ints(a, b)
    return a // b

def _mod(m, a, b):
    if type(a) == "int":
        _ints(a, b)
        return a % b
    if type(a) != "string":
        _host_stop("contract-failed")
    parts = b if type(b) == "tuple" else (b,)
    _scalars(m, parts)
    n = len(a)
    for part in parts:
        n += 4 * len(part) if type(part) == "string" else 80
    _made(m, a, n)
    return a % b

def _shl(m, a, b):
    _ints(a, b)
    if b > 256:
        _host_stop("contract-size")
    return _i(a << b)

def _shr(m, a, b):
    _ints(a, b)
    return a >> min(b, 512)

def _and(m, a, b):
    _ints(a, b)
    return a & b

def _or(m, a, b):
    _ints(a, b)
    return a | b

def _xor(m, a, b):
    _ints(a, b)
    return a ^ b

def _eq(m, a, b):
    if type(a) not in _SCALAR and type(b) not in _SCALAR:
        _walk_8(m, a)
        _walk_8(m, b)
    return a == b

def _ne(m, a, b):
    return not _eq(m, a, b)

def _ordered(a, b):
    if type(a) != type(b) or (type(a) != "int" and type(a) != "string"):
        _host_stop("contract-failed")

def _lt(m, a, b):
    _ordered(a, b)
    return a < b

def _le(m, a, b):
    _ordered(a, b)
    return a <= b

def _gt(m, a, b):
    _ordered(a, b)
    return a > b

def _ge(m, a, b):
    _ordered(a, b)
    return a >= b

def _in(m, a, b):
    _k(m, a)
    if type(b) != "dict":
        _t(m, len(b) // 8)
    return a in b

def _not_in(m, a, b):
    return not _in(m, a, b)

def _loop(m, xs, cost):
    _t(m, len(xs) * cost)
    return xs

def _slice(m, x):
    _c(m, len(x))
    return x

def _b_len(m, x):
    return len(x)

def _b_abs(m, x):
    return abs(x)

def _b_bool(m, x):
    return bool(x)

def _b_type(m, x):
    return type(x)

def _b_int(m, x):
    if type(x) == "string" and len(x) > 80:
        _host_stop("contract-size")
    return _i(int(x))

def _b_str(m, x):
    _k(m, x)
    if type(x) == "string":
        return x
    _c(m, 80)
    return str(x)

def _b_range(m, *a):
    r = range(*a)
    if len(r) > LIST_MAX:
        _host_stop("contract-size")
    return r

def _items(m, x):
    _made(m, [], len(x))
    return x

def _b_list(m, x = ()):
    return list(_items(m, x))

def _b_tuple(m, x = ()):
    return tuple(_items(m, x))

def _b_dict(m, pairs = ()):
    if type(pairs) != "dict":
        for pair in pairs:
            _k(m, pair[0])
    return dict(_items(m, pairs))

def _b_reversed(m, x):
    return reversed(_items(m, x))

def _b_enumerate(m, x):
    return enumerate(_items(m, x))

def _b_zip(m, *xs):
    for x in xs:
        _items(m, x)
    return zip(*xs)

def _b_sorted(m, x, reverse = False):
    _scalars(m, _items(m, x))
    _t(m, 8 * len(x))
    return sorted(x, reverse = reverse)

def _several(m, xs):
    if len(xs) == 1:
        xs = xs[0]
    _scalars(m, xs)
    return xs

def _b_min(m, *xs):
    return min(_several(m, xs))

def _b_max(m, *xs):
    return max(_several(m, xs))

def _b_any(m, xs):
    _t(m, len(xs))
    return any(xs)

def _b_all(m, xs):
    _t(m, len(xs))
    return all(xs)

def _x_append(m, x, v):
    _made(m, x, 1)
    if len(x) >= LIST_MAX:
        _host_stop("contract-size")
    x.append(v)

def _x_extend(m, x, more):
    _made(m, x, len(x) + len(more))
    x.extend(more)

def _x_insert(m, x, at, v):
    _made(m, x, len(x) + 1)
    x.insert(at, v)

def _x_pop(m, x, *a):
    _t(m, len(x) // 16)
    if type(x) == "dict":
        _k(m, a[0])
    return x.pop(*a)

def _x_remove(m, x, v):
    _k(m, v)
    _t(m, len(x))
    x.remove(v)

def _x_clear(m, x):
    x.clear()

def _x_get(m, x, key, default = None):
    return x.get(_k(m, key), default)

def _x_setdefault(m, x, key, default = None):
    return x.setdefault(_k(m, key), default)

def _x_keys(m, x):
    return _items(m, x).keys()

def _x_values(m, x):
    return _items(m, x).values()

def _x_items(m, x):
    return _items(m, x).items()

def _x_update(m, x, more):
    if type(more) != "dict":
        _host_stop("contract-failed")
    _made(m, [], len(x) + len(more))
    x.update(more)

def _text(m, s):
    if type(s) != "string":
        _host_stop("contract-failed")
    _c(m, len(s))
    return s

def _x_split(m, s, *a):
    return _text(m, s).split(*a)

def _x_rsplit(m, s, *a):
    return _text(m, s).rsplit(*a)

def _x_strip(m, s, *a):
    return _text(m, s).strip(*a)

def _x_lstrip(m, s, *a):
    return _text(m, s).lstrip(*a)

def _x_rstrip(m, s, *a):
    return _text(m, s).rstrip(*a)

def _x_lower(m, s):
    return _short(m, _text(m, s).lower())

def _x_upper(m, s):
    return _short(m, _text(m, s).upper())

def _short(m, s):
    _made(m, s, len(s))
    return s

def _x_startswith(m, s, start):
    return _text(m, s).startswith(_text(m, start))

def _x_endswith(m, s, end):
    return _text(m, s).endswith(_text(m, end))

def _x_find(m, s, part):
    return _text(m, s).find(_text(m, part))

def _x_replace(m, s, old, new):
    _text(m, s)
    if _text(m, old) == "":
        _host_stop("contract-failed")
    n = s.count(old)
    _made(m, s, len(s) + n * (len(_text(m, new)) - len(old)))
    return s.replace(old, new)

def _x_join(m, s, parts):
    n = 0
    _t(m, len(parts))
    for part in parts:
        if type(part) != "string":
            _host_stop("contract-failed")
        n += len(part) + len(s)
    _made(m, s, n)
    return s.join(parts)

def _walk_0(m, v):
    t = type(v)
    if t == "int":
        if v >= _SMALL or v <= _TINY:
            if v >= _CROSSING or v < -_CROSSING:
                _host_stop("contract-size")
        _c(m, 8)
    elif t == "string":
        _c(m, len(v))
    elif t != "bool":
        _host_stop("contract-failed")

WALKS

def _out(m, v):
    _walk_8(m, v)
    return json.encode(v)

def _h_get(m, key):
    _t(m, 60)
    found = _host_get(_text(m, key))
    if found == None:
        return None
    _c(m, len(found))
    return json.decode(found)

def _h_put(m, key, value):
    text = _out(m, value)
    _t(m, 120 + len(text) // 4)
    _host_put(_text(m, key), text)

def _h_delete(m, key):
    _t(m, 120)
    _host_delete(_text(m, key))

def _h_scan(m, prefix, limit):
    if type(limit) != "int" or limit < 1 or limit > 1000:
        _host_stop("contract-failed")
    _t(m, 60 + 30 * limit)
    found = _host_scan(_text(m, prefix), limit)
    _c(m, len(found))
    return json.decode(found)

def _h_emit(m, name, data):
    text = _out(m, data)
    _t(m, 60 + len(text) // 4)
    _host_emit(_text(m, name), text)

def _h_fail(m, code):
    _host_fail(_text(m, code))

def _h_call(m, contract, function, args):
    text = _out(m, args)
    _t(m, 200)
    found = json.decode(_host_call(_text(m, contract), _text(m, function), text, m[0]))
    _t(m, found[1])
    return found[0]

def _events(m, events):
    for event in events:
        if type(event[0]) != "string" or len(event) != 2:
            _host_stop("contract-failed")
        _walk_8(m, event[1])
    return events

_EMPTY = {"list": 1, "tuple": 1, "dict": 1, "range": 1}

def _kept(m, value):
    if value != None:
        _walk_8(m, value)
    return value
"""

_WALK: Final = """
def _walk_{this}(m, v):
    t = type(v)
    if t == "list" or t == "tuple":
        _t(m, len(v))
        for x in v:
            _walk_{below}(m, x)
    elif t == "dict":
        _t(m, len(v))
        n = 0
        for key, x in v.items():
            if type(key) != "string":
                _host_stop("contract-failed")
            k = len(key)
            if k <= 64:
                n += k
            else:
                _c(m, k)
            t = type(x)
            if t == "int" and x < _SMALL and x > _TINY:
                n += 8
            elif t == "string" and len(x) <= 64:
                n += len(x)
            else:
                _walk_{below}(m, x)
        m[1] -= n
        if m[1] < 0:
            _host_stop("contract-size")
    else:
        _walk_0(m, v)
"""

PRELUDE: Final = (
    _HELPERS.replace(
        "WALKS",
        "".join(_WALK.format(this=n, below=n - 1) for n in range(1, NEST_MAX + 1)),
    )
    .replace("TEXT_MAX", str(TEXT_MAX))
    .replace("LIST_MAX", str(LIST_MAX))
)
"""The Starlark source of all helpers, evaluated before the contract's own."""
