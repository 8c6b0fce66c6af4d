"""Tests of scripts/house on small sources, each with the case that a simpler reading would get wrong."""

import contextlib
import io
import pathlib
import re
import subprocess
import tempfile
import unittest

import circles
import measures
import package
import report
from scanner import parameters
from swift_file import UNSAFE, SwiftFile
from swift_text import split


def run():
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(TextTests)
    for tests in (DeclarationTests, CircleTests, PackageTests, MeasureTests):
        suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(tests))
    return 0 if unittest.TextTestRunner().run(suite).wasSuccessful() else 1


def declared(source, *kinds):
    file = SwiftFile("a.swift", source)
    assert file.balanced, source
    return [d for d in file.declarations if not kinds or d.kind in kinds]


def names(source, *kinds):
    return [d.name for d in declared(source, *kinds)]


class TextTests(unittest.TestCase):
    def test_comments_and_strings_become_spaces(self):
        code, comments = split('let a = "// no { \\" " // yes "\n/* one /* two */ three */ let b = 1\n')
        self.assertEqual(code.split(), ["let", "a", "=", '"', "let", "b", "=", "1"])
        self.assertEqual(len(comments), 2)

    def test_offsets_stay(self):
        source = 'let a = """\n  { "quoted" \\(b) }\n  """\nlet c = #"\\("#\n'
        code, _ = split(source)
        self.assertEqual(len(code), len(source))
        self.assertEqual(code.count("\n"), source.count("\n"))
        self.assertEqual(code.index("let c"), source.index("let c"))

    def test_interpolations_are_code(self):
        code, _ = split('print("a \\(Used.of("}", b) + "\\(c)") d", #"\\#(e) \\(f)"#)')
        self.assertEqual(re.findall(r"\w+", code), ["print", "Used", "of", "b", "c", "e"])
        self.assertNotIn("}", code)

    def test_sentences_as_names_are_names(self):
        source = "@Test func `A task's work { and \"more`() {}\nfunc after() {}\n"
        self.assertEqual(len(split(source)[0]), len(source))
        self.assertEqual(names(source)[-1], "after")
        self.assertEqual(len(names(source)), 2)

    def test_doc_comments(self):
        _, comments = split("/// a\n//// b\n// c\n/** d */\n/* e */ /**/\n")
        self.assertEqual([comment.doc for comment in comments], [True, False, False, True, False, False])

    def test_unsafe_pointers(self):
        found = [bool(UNSAFE.search(text)) for text in (
            "UnsafePointer<Int>", "UnsafeMutableRawBufferPointer", "OpaquePointer?", "unsafePointer", "UnsafeStates")]
        self.assertEqual(found, [True, True, True, False, False])


class DeclarationTests(unittest.TestCase):
    def test_parameters(self):
        for text, count in (
            ("", 0), (" ", 0), ("_ a: Int", 1), ("a: [Int: (Int, Int)], b: Int", 2), ("a: Dictionary<Int, Int>", 1),
            ("a: @escaping (Int, Int) -> Void, b: Int = { max($0, 1) }()", 2), ("a: Int, b: Int,", 2),
            ("a: Bool = 1 < 2, b: Bool = 3 > 2", 2), ("a: (borrowing A<B, C>, D) -> E<F, G>, h: H", 2),
        ):
            self.assertEqual(len(parameters(text)), count, text)

    def test_signatures_over_lines(self):
        source = '''
        struct A<B: C> where B.D == Int {
          @inlinable @available(macOS 15, *)
          public static func f<T, U: Collection<Int>>(
            _ a: T, // first, of two
            b: U = "x, y", c: (Int, Int) -> [Int: Int] = { x, y in [x: y] }
          ) async throws(E) -> (Int, Int) where T: P { g(1, 2, 3) }
          init?(a: Int, b: Int) { self.init(a: 1, b: 2, c: 3); func local(x: Int) {} }
          static func == (l: A, r: A) -> Bool { true }
          static func < (l: A, r: A) -> Bool { .init(l) }
          subscript(i: Int, j: Int) -> Int { 0 }
          let start: B = .init(a: 1, b: 2)
          func `init`(a: Int) {}
        }
        '''
        found = [(d.kind, d.name, d.parameters) for d in declared(source, "func", "init", "subscript")]
        self.assertEqual(found, [
            ("func", "f", 3), ("init", "init", 2), ("func", "local", 1), ("func", "==", 2), ("func", "<", 2),
            ("subscript", "subscript", 2), ("func", "init", 1)])

    def test_cases_are_no_functions_and_patterns_no_cases(self):
        source = '''
        public enum E: String {
          case a, b = "x"
          indirect case c(x: Int, y: (Int, Int) = (1, 2)), d
          case e = -1
          func f() { switch self { case .a: break; case let .c(x, y): if case .d = self {} default: break } }
        }
        '''
        self.assertEqual(names(source, "case"), ["a", "b", "c", "d", "e"])
        self.assertEqual({d.access for d in declared(source, "case")}, {"public"})
        self.assertEqual(names(source, "func"), ["f"])

    def test_properties_but_not_those_of_functions(self):
        source = '''
        let top = { let inner = 1; return inner }()
        class A { class var b: Int { let c = 1; return c }
          public private(set) var d = 1, e = 2
          var f, g: Int
          lazy var (h, i) = (1, 2) }
        '''
        self.assertEqual(names(source, "var", "let"), ["top", "b", "d", "f", "g", "h", "i"])
        self.assertEqual([d.access for d in declared(source, "var") if d.name == "d"], ["public"])

    def test_types_and_extensions(self):
        source = '''
        import struct Foundation.Date
        @testable import B
        protocol P: class { associatedtype A; func f(a: Int); init(b: Int); var c: Int { get } }
        actor Q { let actor = 1 }
        final class R: P { struct S { enum T {} } }
        extension R.S { func g() {} }
        extension Array where Element == Int { func h() { class L {} } }
        func i() { let actor = x.class; x.extension; f(struct: 1) }
        '''
        self.assertEqual(names(source, "protocol", "actor", "class", "struct", "enum", "extension"), [
            "P", "Q", "R", "S", "T", "R.S", "Array", "L"])
        file = SwiftFile("a.swift", source)
        self.assertEqual([module for module, _ in file.imports], ["Foundation", "B"])
        self.assertEqual(names(source, "func", "init"), ["f", "init", "g", "h", "i"])

    def test_access_and_documentation(self):
        source = '''
        /// Documented.
        @frozen
        // A remark.
        public struct A {
          /// One.
          @Attribute("x") public var a: Int
          public var b: Int  // no documentation
          public init() {}
          @inlinable
          /// Two.
          public func c() {}
        }
        public extension A { func d() {} }
        public protocol P { /** Three. */ func e(); func f() }
        struct Hidden { public var g: Int }
        extension Hidden { public var h: Int { 0 } }
        extension Int { public var i: Int { 0 } }
        '''
        public = measures._public([SwiftFile("a.swift", source)])
        self.assertEqual([(d.name, d.documented) for _, d in public], [
            ("A", True), ("a", True), ("b", False), ("init", False), ("c", True), ("d", False), ("P", False),
            ("e", True), ("f", False), ("i", False)])

    def test_braces_that_do_not_balance_are_told(self):
        self.assertFalse(SwiftFile("a.swift", "struct A { func f() {").balanced)
        self.assertFalse(SwiftFile("a.swift", "} struct A {").balanced)


class CircleTests(unittest.TestCase):
    def circles(self, with_members, **sources):
        files = [SwiftFile(name, source) for name, source in sources.items()]
        return [circle["files"] for circle in circles.circles(files, with_members)]

    def test_circles_by_names(self):
        sources = {
            "a": "struct A { var b: B }", "b": "struct B { var c: [C] }", "c": "struct C { func f(_: A) {} }",
            "d": "struct D { var a: A } // used by nobody", "e": "// D and E\nstruct E { let s = \"D\" }"}
        self.assertEqual(self.circles(False, **sources), [["a", "b", "c"]])

    def test_functions_and_private_types(self):
        self.assertEqual(self.circles(False, a="struct A {}; func g() { f() }", b="func f() { _ = A() }"), [["a", "b"]])
        self.assertEqual(self.circles(False, a="struct A {}; let x = y.f()", b="func f() { _ = A() }"), [])
        self.assertEqual(self.circles(False, a="struct A { var b: B }", b="private struct B { var a: A }"), [])

    def test_members_of_extensions(self):
        sources = {"a": "struct A { func f() { g() } }", "b": "extension A { func g() {} }"}
        self.assertEqual(self.circles(False, **sources), [])
        self.assertEqual(self.circles(True, **sources), [["a", "b"]])
        # A member that two files have is used by a file that names the type, and by no other.
        sources = {
            "a": "struct A { var c: C }", "b": "extension A { func g() {} }", "c": "struct C { func f() { x.g() } }",
            "d": "struct D { func g() {} }"}
        self.assertEqual(self.circles(True, **sources), [])


class PackageTests(unittest.TestCase):
    MANIFEST = '''
    //   .target(name: "Old")
    let package = Package(name: "P", products: [.library(name: "A", targets: ["A"])], targets: [
      .systemLibrary(name: "S", pkgConfig: "s"),
      .target(name: "A", dependencies: ["S"]),
      .target(name: "B", dependencies: [.target(name: "A"), "A", .product(name: "X", package: "x")], path: "Other/B"),
      .executableTarget(name: "c", dependencies: [.byName(name: "B")]), // ) ]
      .testTarget(name: "BTests", dependencies: ["B", "A"]),
      .target(name: "Shared", path: "Tests/Shared"),
    ])
    '''

    def test_targets(self):
        found = package.targets(self.MANIFEST)
        self.assertEqual({name: target.dependencies for name, target in found.items()}, {
            "S": (), "A": ("S",), "B": ("A", "A"), "c": ("B",), "BTests": ("B", "A"), "Shared": ()})
        self.assertEqual([found[name].path for name in ("A", "B", "BTests")], ["Sources/A", "Other/B", "Tests/BTests"])
        self.assertEqual([name for name, target in found.items() if target.is_test], ["BTests", "Shared"])

    def test_drawings(self):
        pairs = package.drawn_pairs("  A <- B <--- {C, D} <- e\n  F <-----+\n x < y, A - F", set("ABCDeF"))
        self.assertEqual(pairs, {("A", "B"), ("B", "C"), ("B", "D"), ("C", "e"), ("D", "e")})

    def test_reachable(self):
        self.assertEqual(package.reachable({"a": ["b"], "b": ["a"], "c": ["b"]}), {
            "a": {"a", "b"}, "b": {"a", "b"}, "c": {"a", "b"}})


class MeasureTests(unittest.TestCase):
    FILES = {
        "Package.swift": 'let p = Package(targets: [.target(name: "CK"), .target(name: "K", dependencies: ["CK"]), '
        '.target(name: "L", dependencies: ["K"]), .target(name: "M", dependencies: ["L"]), '
        '.testTarget(name: "LTests", dependencies: ["L", "M"])])',
        "docs/architecture.md": "    CK <- K <- L <- M\n",
        "Sources/CK/k.c": "/* " + "x" * 120 + "\n " + "x" * 119 + " */\nint a; // short\nchar *b = \"/*\";\n"
        + "int c;" + " " * 130,
        "Sources/K/K.swift": "import CK\n// UnsafePointer\n"
        + "func f(a: Int, b: Int, c: Int, d: Int, e: Int, f: Int, g: Int) {}\n",
        "Sources/L/L.swift": "import K\nimport M\n/// " + "y" * 117 + "\n"
        + "public protocol P { func f(_: UnsafeRawPointer) }\n"
        + "public func h(" + ", ".join(f"_ a{i}: Int" for i in range(11)) + ") {}\n",
        "Sources/M/M.swift": "import CK\nimport Glibc\nenum E {}\n",
        "Tests/LTests/T.swift": "import L\nstruct T {}",
    }

    def tree(self, folder):
        for path, text in self.FILES.items():
            file = pathlib.Path(folder) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")

    def test_measures_of_a_package(self):
        with tempfile.TemporaryDirectory() as folder:
            self.tree(folder)
            result = measures.measure(folder)
        summary = {label.strip(): value for label, value in result["summary"].items()}
        for label, value in {
            "lines of Sources": 5 + 3 + 5 + 3, "lines of Tests": 2, "files of Sources": 4, "types of Sources": 2,
            "Swift files of Sources": 3, "that name unsafe pointers": 1,
            "public protocols that name unsafe pointers": 1, "other protocols that name unsafe pointers": 0,
            "functions of more than 6 parameters": 2, "parameters of the largest": 11,
            "of more than 10, outside of the C boundary": 1, "public symbols": 3, "documented, %": 33.3,
            "comment lines of more than 120 columns": 3, "files that import Glibc, Darwin, Musl": 1,
        }.items():
            self.assertEqual(summary[label], value, label)
        self.assertEqual([entry["boundary"] for entry in result["functions"]], [True, False])
        self.assertEqual([(e["target"], e["imports"]) for e in result["againstOrder"]], [("L", "M")])
        self.assertEqual([(e["target"], e["imports"]) for e in result["undeclared"]], [("M", "CK")])
        self.assertEqual([(e["target"], e["declares"]) for e in result["unused"]], [("M", "L"), ("LTests", "M")])
        self.assertIn("L imports M", report.text(result))
        self.assertIn("Sources/L/L.swift:5: h", report.lists(result))

    def test_one_file_imports_the_c_library(self):
        import house
        with tempfile.TemporaryDirectory() as folder:
            self.tree(folder)
            holder = pathlib.Path(folder) / measures.SYSTEM_IMPORTER
            holder.parent.mkdir(parents=True)
            holder.write_text("@_exported public import Glibc\n", encoding="utf-8")
            result = measures.measure(folder)
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                self.assertEqual(house.check(result), 1)
        named = [line for line in output.getvalue().splitlines() if "C library" in line]
        self.assertEqual([line.split(":")[0] for line in named], ["Sources/M/M.swift"])

    def test_against_a_revision(self):
        import house
        with tempfile.TemporaryDirectory() as folder:
            self.tree(folder)

            def git(*arguments):
                subprocess.run(["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments],
                               check=True, stdout=subprocess.DEVNULL)

            git("init", "-q")
            git("add", ".")
            git("commit", "-q", "-m", "one")
            (pathlib.Path(folder) / "Sources/M/N.swift").write_text("struct N {}\n", encoding="utf-8")
            now = measures.measure(folder)
            with house.revision(pathlib.Path(folder), "HEAD") as tree:
                before = measures.measure(tree)
            with self.assertRaises(house.Failure):
                with house.revision(pathlib.Path(folder), "nowhere"):
                    pass
        self.assertEqual(now["summary"]["files of Sources"] - before["summary"]["files of Sources"], 1)
        self.assertIn("1 -> 2", report.text(now, before))
        del before["targets"]["M"], now["targets"]["L"]
        self.assertIn("M (new)", report.text(now, before))
        self.assertIn("L (gone)", report.text(now, before))
