"""Finds the declarations of a Swift file: types, extensions, functions, properties, cases and imports.

A scanner, not a compiler: it follows braces and keywords. Of properties in functions it takes no notice. All branches
of `#if` are read, as long as each has its braces in balance.
"""

import typing

TYPES = ("struct", "class", "enum", "actor", "protocol")
ACCESS = ("open", "public", "package", "internal", "fileprivate", "private")
MODIFIERS = ACCESS + (
    "static", "final", "mutating", "nonmutating", "override", "convenience", "required", "lazy", "weak", "unowned",
    "nonisolated", "isolated", "indirect", "dynamic", "optional", "consuming", "borrowing", "prefix", "postfix",
    "infix", "async", "distributed", "sending", "unsafe")


class Declaration(typing.NamedTuple):
    kind: str  # a word of TYPES, or extension, func, init, subscript, var, let, case, typealias, associatedtype
    name: str  # for an extension the type's, with dots
    line: int
    access: str  # as written or inherited; "internal" without either
    scope: tuple  # the declarations around it, outermost first
    documented: bool
    parameters: int  # of a func, init or subscript
    is_local: bool  # inside of a function or accessor
    start: int
    end: int  # of the name


def scan(file):
    """Fills in the file's imports and declarations; false if its braces do not balance."""
    return _Scanner(file).run()


class _Scope(typing.NamedTuple):
    kind: str  # "file", a kind of declaration that holds others, or "body"
    declaration: object


class _Scanner:
    def __init__(self, file):
        self.file, self.tokens = file, file.tokens
        self.at = 0
        self.scopes = [_Scope("file", None)]
        self.pending = None  # what the next brace opens
        self.begin = None  # the token with which attributes and modifiers of a declaration began
        self.modifiers = []
        self.balanced = True

    def run(self):
        while self.at < len(self.tokens):
            self._step()
        return self.balanced and len(self.scopes) == 1

    # Tokens

    def _text(self, at):
        """The token's text; a name in backquotes is no keyword."""
        if not 0 <= at < len(self.tokens):
            return ""
        token = self.tokens[at]
        return "`" + token.text if token.quoted else token.text

    def _is_name(self, at):
        return 0 <= at < len(self.tokens) and self.tokens[at].is_name

    def _closing(self, at):
        """Position of the bracket that closes the one at `at`, or the last token's."""
        depth = 0
        for i in range(at, len(self.tokens)):
            text = self.tokens[i].text
            if text in "([{":
                depth += 1
            elif text in ")]}":
                depth -= 1
                if depth == 0:
                    return i
        return len(self.tokens) - 1

    # Statements

    def _step(self):
        text = self._text(self.at)
        if text == "{":
            self.scopes.append(self.pending or _Scope("body", None))
            self._forget()
            self.at += 1
        elif text == "}":
            if len(self.scopes) > 1:
                self.scopes.pop()
            else:
                self.balanced = False
            self._forget()
            self.at += 1
        elif text == "@" and self._is_name(self.at + 1):
            self._attribute()
        elif self._text(self.at - 1) == ".":
            self.at += 1
        elif text == "class" and self._text(self.at + 1) in MODIFIERS + ("func", "var", "let", "subscript"):
            self._modifier()
        elif text in MODIFIERS:
            self._modifier()
        elif not self._declaration(text):
            self.begin, self.modifiers = None, []
            self.at += 1

    def _forget(self):
        self.pending, self.begin, self.modifiers = None, None, []

    def _attribute(self):
        if self.begin is None:
            self.begin = self.at
        self.at += 2
        while self._text(self.at) == ".":
            self.at += 2
        # An attribute's arguments follow at once: `@escaping (Int) -> Void` has none.
        if self._text(self.at) == "(" and self.tokens[self.at].start == self.tokens[self.at - 1].end:
            self.at = self._closing(self.at) + 1

    def _modifier(self):
        if self.begin is None:
            self.begin = self.at
        text = self._text(self.at)
        self.at += 1
        if self._text(self.at) == "(" and self._text(self.at + 1) in ("set", "unsafe", "safe"):
            self.at += 3  # private(set) says nothing about reading
        else:
            self.modifiers.append(text)

    def _declaration(self, text):
        """Reads the declaration that begins with this keyword; false if there is none."""
        if text == "import" and self.scopes[-1].kind == "file":
            self._import()
        elif text in TYPES and self._is_type(text):
            self._open(text, self._text(self.at + 1).strip("`"), self.at + 1)
            self.at += 2
        elif text == "extension" and self._is_name(self.at + 1):
            last = self.at + 1
            while self._text(last + 1) == "." and self._is_name(last + 2):
                last += 2
            name = "".join(token.text for token in self.tokens[self.at + 1:last + 1])
            self._open("extension", name, last)
            self.at = last + 1
        elif text == "func":
            self._function("func", self._function_name())
        elif text in ("init", "subscript") and self._holds_members():
            self._function(text, text)
        elif text in ("typealias", "associatedtype") and self._is_name(self.at + 1):
            self._add(text, self._text(self.at + 1).strip("`"), self.at + 1)
            self.at += 2
        elif text in ("var", "let") and (self._holds_members() or self.scopes[-1].kind == "file"):
            self._properties(text)
        elif text == "case" and self.scopes[-1].kind == "enum":
            self._cases()
        else:
            return False
        self.begin, self.modifiers = None, []
        return True

    def _holds_members(self):
        return self.scopes[-1].kind in TYPES or self.scopes[-1].kind == "extension"

    def _is_type(self, keyword):
        name = self._text(self.at + 1)
        if not self._is_name(self.at + 1) or name in MODIFIERS:
            return False
        return keyword != "actor" or name[0].isupper()

    def _import(self):
        at = self.at + 1
        if self._text(at) in TYPES + ("typealias", "func", "var", "let"):
            at += 1
        self.file.imports.append((self._text(at), self.file.line(self.tokens[self.at].start)))
        self.at = at + 1

    def _function_name(self):
        at = self.at + 1
        if self._is_name(at):
            return self._text(at).strip("`")
        name = ""
        while at < len(self.tokens) and self._text(at) not in "(":
            name += self._text(at)
            at += 1
        return name

    def _function(self, kind, name):
        at = self.at + 1
        if kind == "func":
            at += 1 if self._is_name(at) else len(name)
        if self._text(at) in ("?", "!"):
            at += 1
        if self._text(at) == "<":
            depth = 0
            while at < len(self.tokens):
                depth += {"<": 1, ">": -1}.get(self._text(at), 0)
                at += 1
                if depth == 0:
                    break
        if self._text(at) != "(":
            self.at += 1
            return
        end = self._closing(at)
        count = len(parameters(self.file.code[self.tokens[at].end:self.tokens[end].start]))
        self._add(kind, name, self.at, count)
        self.pending = None
        self.at = end + 1

    def _properties(self, kind):
        at = self.at + 1
        if self._text(at) == "(":
            end = self._closing(at)
            names = [i for i in range(at + 1, end) if self._is_name(i)]
        else:
            names = [at]
            while self._text(names[-1] + 1) == "," and self._is_name(names[-1] + 2):
                names.append(names[-1] + 2)
            end = names[-1]
        for i in names:
            self._add(kind, self._text(i).strip("`"), i)
        self.pending = None
        self.at = end + 1

    def _cases(self):
        at = self.at + 1
        while self._is_name(at):
            self._add("case", self._text(at).strip("`"), at)
            at += 1
            if self._text(at) == "(":
                at = self._closing(at) + 1
            if self._text(at) == "=":
                at += 2 if self._text(at + 1) != "-" else 3
            if self._text(at) != ",":
                break
            at += 1
        self.at = at

    def _add(self, kind, name, last, count=0):
        first = self.tokens[self.begin if self.begin is not None else self.at]
        around = tuple(scope.declaration for scope in self.scopes if scope.declaration)
        access = next((word for word in self.modifiers if word in ACCESS), None)
        if access is None:
            access = "internal"
            # Members of an extension have the access it names; requirements and cases that of their type.
            holder = self.scopes[-1]
            if holder.kind in ("protocol", "extension") or (holder.kind == "enum" and kind == "case"):
                access = holder.declaration.access
        declaration = Declaration(
            kind, name, self.file.line(self.tokens[self.at].start), access, around,
            self.file.is_documented(first.start, self.tokens[self.at].end), count,
            any(scope.kind == "body" for scope in self.scopes), first.start, self.tokens[last].end)
        self.file.declarations.append(declaration)
        return declaration

    def _open(self, kind, name, last):
        self.pending = _Scope(kind, self._add(kind, name, last))


def parameters(text):
    """The parameters in what stands between a function's parentheses, comments and strings taken out."""
    pieces, start, depth, angles = [], 0, 0, 0
    for i, character in enumerate(text):
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "<" and depth == 0 and i and (text[i - 1].isalnum() or text[i - 1] in "_`"):
            angles += 1
        elif character == ">" and depth == 0 and angles and text[i - 1] != "-":
            angles -= 1
        elif character == "," and depth == 0 and angles == 0:
            pieces.append(text[start:i])
            start = i + 1
    pieces.append(text[start:])
    return [piece.strip() for piece in pieces if piece.strip()]
