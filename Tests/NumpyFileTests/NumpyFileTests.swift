// .npy files as numpy 2.4 wrote them, damaged ones, and files of ours read back.

import Foundation
import NumpyFile
import Testing

/// Whole files, base64: `numpy.lib.format.write_array` of the arrays that their names tell.
private enum Written {
  /// `[[1, -2.5, 65504], [6e-8, inf, 0.1]]`, `<f2`.
  static let halves = """
    k05VTVBZAQB2AHsnZGVzY3InOiAnPGYyJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsIDMpLCB9ICAgICAg\
    ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAPADB/3sBAAB8Zi4=
    """
  /// `arange(24).reshape(2, 3, 4)`, `<f4`, Fortran order, version 2.0.
  static let fortran = """
    k05VTVBZAgB0AAAAeydkZXNjcic6ICc8ZjQnLCAnZm9ydHJhbl9vcmRlcic6IFRydWUsICdzaGFwZSc6ICgyLCAzLCA0KSwgfSAg\
    ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAAAAAABAQQAAgEAAAIBBAAAAQQAA\
    oEEAAIA/AABQQQAAoEAAAIhBAAAQQQAAqEEAAABAAABgQQAAwEAAAJBBAAAgQQAAsEEAAEBAAABwQQAA4EAAAJhBAAAwQQAAuEE=
    """
  /// `[-7, 2**31 - 1]`, `<i8`, version 3.0.
  static let integers = """
    k05VTVBZAwB0AAAAeydkZXNjcic6ICc8aTgnLCAnZm9ydHJhbl9vcmRlcic6IEZhbHNlLCAnc2hhcGUnOiAoMiwpLCB9ICAgICAg\
    ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAr5/////////////38AAAAA
    """
  /// `[1, 2]`, `>f4`.
  static let bigEndian = """
    k05VTVBZAQB2AHsnZGVzY3InOiAnPmY0JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsKSwgfSAgICAgICAg\
    ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAo/gAAAQAAAAA==
    """
  /// `0.1`, `<f8`, no dimension.
  static let scalar = """
    k05VTVBZAQB2AHsnZGVzY3InOiAnPGY4JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKCksIH0gICAgICAgICAg\
    ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAqamZmZmZm5Pw==
    """
  /// `[[0, 255]]`, `|u1`.
  static let bytes = """
    k05VTVBZAQB2AHsnZGVzY3InOiAnfHUxJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDEsIDIpLCB9ICAgICAg\
    ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoA/w==
    """
  /// `zeros((0, 5))`, `<i4`.
  static let empty = """
    k05VTVBZAQB2AHsnZGVzY3InOiAnPGk0JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDAsIDUpLCB9ICAgICAg\
    ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAo=
    """
  /// Two elements with a field, `[('a', '<i4')]`.
  static let fields = """
    k05VTVBZAQB2AHsnZGVzY3InOiBbKCdhJywgJzxpNCcpXSwgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsKSwg\
    fSAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAAAAAAAAAAA==
    """
}

private func data(_ base64: String) throws -> Data { try #require(Data(base64Encoded: base64)) }

/// A version 1.0 file with this text as its header.
private func file(header: String, elements: [UInt8] = []) -> Data {
  let text = Array(header.utf8)
  return Data(
    [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(text.count & 0xFF), UInt8(text.count >> 8)] + text + elements)
}

private func expectRefusal(
  _ data: Data, _ reason: NumpyError.Reason, sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(throws: NumpyError(path: "", reason), sourceLocation: sourceLocation) { try NumpyArray(data) }
}

@Suite struct NumpyReadTests {
  @Test func halvesKeepTheirBitsAndBecomeFloats() throws {
    let array = try NumpyArray(data(Written.halves))
    #expect(array.shape == [2, 3])
    #expect(array.elementType == .float16)
    #expect(array.float16Bits() == [0x3C00, 0xC100, 0x7BFF, 0x0001, 0x7C00, 0x2E66])
    #expect(array.floats() == [1, -2.5, 65504, 0x1p-24, .infinity, 0.0999755859375])
  }

  @Test func fortranOrderIsTransposed() throws {
    let array = try NumpyArray(data(Written.fortran))
    #expect(array.shape == [2, 3, 4])
    #expect(array.floats() == (0..<24).map { Float($0) })
    #expect(try array.int32s() == Array(0..<24))
  }

  @Test func otherTypesAreConverted() throws {
    #expect(try NumpyArray(data(Written.integers)).int32s() == [-7, .max])
    #expect(try NumpyArray(data(Written.scalar)).floats() == [0.1])
    #expect(try NumpyArray(data(Written.scalar)).shape == [])
    #expect(try NumpyArray(data(Written.bytes)).int32s() == [0, 255])
    let empty = try NumpyArray(data(Written.empty))
    #expect(empty.shape == [0, 5])
    #expect(try empty.int32s().isEmpty)
  }

  @Test func bigEndianElementsAreSwapped() throws {
    let array = try NumpyArray(data(Written.bigEndian))
    #expect(array.elementType == .float32)
    #expect(array.floats() == [1, 2])
    #expect(array.float16Bits() == [0x3C00, 0x4000])
    #expect(try array.int32s() == [1, 2])
  }

  /// Every type in both byte orders, transposed, gives the same numbers.
  @Test(arguments: NumpyElementType.allCases)
  func bothByteOrdersGiveTheSameNumbers(type: NumpyElementType) throws {
    // The first and the last byte differ, and no element is too large for an integer or not a number.
    let elements = (0..<6).map { number in
      (0..<type.byteCount).map {
        $0 == 0 ? UInt8(number % 2) : $0 == type.byteCount - 1 ? UInt8(number / 3) : 0
      }
    }
    func read(_ order: String, _ bytes: [[UInt8]]) throws -> NumpyArray {
      let text = "{'descr': '\(order)\(type.rawValue)', 'fortran_order': True, 'shape': (2, 3)}"
      return try NumpyArray(file(header: text, elements: Array(bytes.joined())))
    }
    let little = try read("<", elements)
    let big = try read(">", elements.map { $0.reversed() })
    #expect(big.shape == [2, 3])
    #expect(big.elementType == type)
    #expect(big.floats() == little.floats())
    #expect(big.float16Bits() == little.float16Bits())
    #expect((try? big.int32s()) == (try? little.int32s()))
  }

  @Test func floatsAreRoundedToHalvesAtTiesToEven() throws {
    let values: [Float] = [
      1 + 0x1p-11, 1 + 3 * 0x1p-11, 65519.996, 65520, 0x1p-25, 0x1.8p-25, -0.0, 0x1.ffep-15,
    ]
    let array = try NumpyArray(
      file(
        header: "{'descr': '<f4', 'fortran_order': False, 'shape': (8,), }",
        elements: values.flatMap { withUnsafeBytes(of: $0.bitPattern) { Array($0) } }))
    #expect(array.float16Bits() == [0x3C00, 0x3C02, 0x7BFF, 0x7C00, 0, 1, 0x8000, 0x0400])
  }

  @Test func everyHalfSurvivesTheWayThroughFloats() throws {
    let all = (0...UInt16.max).filter { $0 & 0x7C00 != 0x7C00 || $0 & 0x3FF == 0 }
    let header = "{'shape': (\(all.count),), 'fortran_order': False, \"descr\": '<f2'}\n"
    let array = try NumpyArray(
      file(header: header, elements: all.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }))
    let floats = array.floats()
    let again = try NumpyArray(
      file(
        header: header.replacingOccurrences(of: "f2", with: "f4"),
        elements: floats.flatMap { withUnsafeBytes(of: $0.bitPattern) { Array($0) } }))
    #expect(again.float16Bits() == all)
  }

  @Test func numbersThatAreNoIntegersAreRefused() throws {
    #expect(throws: NumpyError(path: "", .notRepresentable(-2.5, index: 1))) {
      try NumpyArray(data(Written.halves)).int32s()
    }
  }

  @Test func shapesAreChecked() throws {
    let array = try NumpyArray(data(Written.fortran))
    try array.expectShape([2, nil, 4])
    #expect(throws: NumpyError(path: "", .wrongShape(actual: [2, 3, 4], expected: "[*, 64]"))) {
      try array.expectShape([nil, 64])
    }
  }
}

@Suite struct NumpyRefusalTests {
  @Test func everyTruncationIsRefused() throws {
    for whole in [try data(Written.halves), try data(Written.fortran)] {
      for count in 0..<whole.count {
        #expect(throws: NumpyError.self, "\(count) bytes") { try NumpyArray(whole.prefix(count)) }
      }
      expectRefusal(whole.prefix(5), .notNumpy)
      expectRefusal(
        whole.dropLast(3) + [], .wrongLength(expected: whole.count - 128, actual: whole.count - 131))
      expectRefusal(whole + [0], .wrongLength(expected: whole.count - 128, actual: whole.count - 127))
    }
  }

  @Test func everyDamagedHeaderByteIsReadOrRefused() throws {
    let whole = try data(Written.halves)
    for place in 0..<128 {
      for byte in [UInt8(0), 0x27, 0x29, 0x39, 0xFF] {
        var damaged = whole
        damaged[place] = byte
        // Neither may trap. What is still a file has its 12 bytes of elements.
        if let array = try? NumpyArray(damaged) {
          #expect(array.floats().count * array.elementType.byteCount == 12)
        }
      }
    }
  }

  @Test func unsupportedTypesAreNamed() throws {
    expectRefusal(try data(Written.fields), .unsupportedType("[('a', '<i4')], 'fortran_order':"))
    for name in ["<c8", ">c8", "|O", "<U3", "", "f4", "<f"] {
      expectRefusal(
        file(header: "{'descr': '\(name)', 'fortran_order': False, 'shape': (1,)}", elements: [0, 0, 0, 0]),
        .unsupportedType(name))
    }
  }

  @Test func absurdShapesAreRefused() {
    func shaped(_ shape: String) -> Data {
      file(header: "{'descr': '<f4', 'fortran_order': False, 'shape': \(shape)}")
    }
    expectRefusal(shaped("(-1,)"), .negativeLength(-1))
    expectRefusal(shaped("(\(Int.max), 2)"), .shapeTooLarge([.max, 2]))
    // No product hides behind a length of 0.
    expectRefusal(shaped("(0, \(Int.max), \(Int.max))"), .shapeTooLarge([0, .max, .max]))
    expectRefusal(shaped("(4611686018427387904, 4)"), .shapeTooLarge([1 << 62, 4]))
    expectRefusal(shaped("(99999999999999999999,)"), .malformedHeader(near: "99999999999999999999,)}"))
    expectRefusal(shaped("(\(String(repeating: "1, ", count: 65)))"), .tooManyDimensions(65))
    expectRefusal(shaped("(1000000000000, 3)"), .wrongLength(expected: 12_000_000_000_000, actual: 0))
  }

  @Test(arguments: [
    "", "{", "{'descr'", "{'descr': '<f4'}", "{'descr': <f4}", "{'fortran_order': 0}", "{'shape': 3}",
    "{'shape': (3 4)}",
    "{'other': 1}", "{'descr': '<f4', 'fortran_order': False, 'shape': ()} x",
  ])
  func malformedHeadersAreRefused(header: String) {
    do {
      _ = try NumpyArray(file(header: header))
      Issue.record("was read")
    } catch {
      guard case .malformedHeader = error.reason else {
        Issue.record("\(error)")
        return
      }
    }
  }

  @Test func otherFilesAreRefused() {
    expectRefusal(Data("PK\u{3}\u{4} a zip file".utf8), .notNumpy)
    expectRefusal(
      Data([0x93] + Array("NUMPY".utf8) + [4, 0, 0, 0, 0, 0]), .unsupportedVersion(major: 4, minor: 0))
    #expect(throws: NumpyError.self) { try NumpyArray(contentsOf: "/nowhere/x.npy") }
    #expect(throws: NumpyError.self) {
      try NumpyArray(contentsOf: FileManager.default.temporaryDirectory.path)
    }
  }
}

@Suite struct NumpyWriteTests {
  private let path = FileManager.default.temporaryDirectory.appendingPathComponent(
    "ra-\(UUID().uuidString).npy"
  ).path

  @Test func theFileIsWhatNumpyWrites() throws {
    defer { try? FileManager.default.removeItem(atPath: path) }
    let writer = try NumpyWriter(path: path, elementType: .float16, rowShape: [3])
    try writer.append(float16Bits: [0x3C00, 0xC100, 0x7BFF])
    // Not closed: the header counts no row yet.
    #expect(throws: NumpyError(path: path, .wrongLength(expected: 0, actual: 6))) {
      try NumpyArray(contentsOf: path)
    }
    try writer.append(float16Bits: [0x0001, 0x7C00, 0x2E66])
    #expect(writer.rowCount == 2)
    try writer.close()
    #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == data(Written.halves))
  }

  @Test func rowsOfOtherTypesComeBack() throws {
    defer { try? FileManager.default.removeItem(atPath: path) }
    let floats = try NumpyWriter(path: path, elementType: .float32, rowShape: [2, 2])
    try floats.append([1, 2, 3, 4, 5, 6, 7, 8] as [Float])
    try floats.append([Float]())
    try floats.close()
    #expect(try NumpyArray(contentsOf: path).shape == [2, 2, 2])
    #expect(try NumpyArray(contentsOf: path).floats() == [1, 2, 3, 4, 5, 6, 7, 8])
    let integers = try NumpyWriter(path: path, elementType: .int32, rowShape: [])
    try integers.append([-1, .max] as [Int32])
    try integers.close()
    #expect(try NumpyArray(contentsOf: path).shape == [2])
    #expect(try NumpyArray(contentsOf: path).int32s() == [-1, .max])
  }

  @Test func badShapesAndPathsAreRefused() {
    #expect(throws: NumpyError(path: path, .negativeLength(-2))) {
      try NumpyWriter(path: path, elementType: .float32, rowShape: [-2])
    }
    #expect(throws: NumpyError(path: path, .shapeTooLarge([.max, 2]))) {
      try NumpyWriter(path: path, elementType: .float32, rowShape: [.max, 2])
    }
    #expect(throws: NumpyError.self) {
      try NumpyWriter(path: "/nowhere/x.npy", elementType: .float32, rowShape: [])
    }
  }
}
