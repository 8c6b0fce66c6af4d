import Testing
import VectorIndex

@Suite struct WorkspaceTests {
  @Test func reusesABufferUntilItMustGrow() {
    let workspace = Workspace()
    let first = workspace.floats(.scores, 100)
    first[99] = 5
    #expect(workspace.floats(.scores, 50) == first)
    #expect(workspace.floats(.scores, 100)[99] == 5)
    let larger = workspace.floats(.scores, 100_000)
    larger[99_999] = 1
    #expect(workspace.floats(.scores, 1) == larger)
  }

  @Test func purposesAndTypesHaveBuffersOfTheirOwn() {
    let workspace = Workspace()
    var addresses: Set<UnsafeRawPointer> = []
    for purpose in Workspace.Purpose.allCases {
      addresses.insert(UnsafeRawPointer(workspace.floats(purpose, 8)))
      addresses.insert(UnsafeRawPointer(workspace.halves(purpose, 8)))
      addresses.insert(UnsafeRawPointer(workspace.indices(purpose, 8)))
    }
    #expect(addresses.count == 3 * Workspace.Purpose.allCases.count)
  }
}
