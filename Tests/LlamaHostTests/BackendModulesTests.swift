// Where back ends are looked for, and what is said of those that cannot be loaded.

import Foundation
import TestSupport
import Testing

@testable import LlamaHost

struct BackendModulesTests {
  private func reason(_ library: String) -> String {
    BackendModules.reason([
      "load_backend: failed to load /x/libggml-cuda.so: \(library): cannot open shared object file: "
        + "No such file or directory"
    ])
  }

  @Test func aMissingDriverIsNamed() {
    #expect(reason("libcuda.so.1").hasSuffix("No such file or directory (is a driver installed?)"))
  }

  @Test func aMissingToolkitIsNotTakenForTheDriver() {
    for library in ["libcudart.so.13", "libcublas.so.12", "libcublasLt.so.13"] {
      #expect(reason(library).contains("LD_LIBRARY_PATH"))
      #expect(!reason(library).contains("driver"))
    }
  }

  @Test func otherReasonsStayAsTheyAre() {
    #expect(reason("libother.so.1").hasSuffix("directory"))
    #expect(BackendModules.reason([]) == "ggml gives no reason")
  }

  @Test func modulesOfAnInstalledProgramAreInItsLibraryFolder() throws {
    let prefix = try TemporaryFolder()
    let program = prefix.url("bin").appendingPathComponent("ra")
    #expect(BackendModules.folder(beside: program).path == prefix.url("bin").path)
    try FileManager.default.createDirectory(at: prefix.url("lib/ra"), withIntermediateDirectories: true)
    #expect(BackendModules.folder(beside: program).path == prefix.url("lib/ra").path)
  }
}
