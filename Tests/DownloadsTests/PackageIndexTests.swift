import Foundation
import TestSupport
import Testing

@testable import Downloads

@Suite struct PackageIndexTests {
  @Test func `Links of a page lead to files`() {
    let page = """
      <html><body><a href="../../files/ab/one-1.0.whl#sha256=00">one-1.0.whl</a><br/>
      <A class='x' HREF='https://other.example/two%2B1.whl?x=1&amp;y=2'>two</A>
      <a>none</a> <a href="three.whl" data-yanked="">three</a></body></html>
      """
    let links = PackageIndex.links(in: page, base: "https://index.example/simple/one/")
    #expect(
      links == [
        "one-1.0.whl": "https://index.example/files/ab/one-1.0.whl",
        "two+1.whl": "https://other.example/two%2B1.whl?x=1&y=2",
        "three.whl": "https://index.example/simple/one/three.whl",
      ])
  }

  @Test func `pip's files and variables are read as pip reads them`() throws {
    let folder = try TemporaryFolder()
    let system = try folder.file(
      "system.conf",
      Data(
        """
        # of the machine
        [global]
        index-url = https://mirror.example/simple/
        find_links =
            /opt/wheels
            file:///srv/more%20wheels
            https://elsewhere.example/links
        cert: /etc/ssl/own.pem
        [install]
        index-url = https://wrong.example
        """.utf8))
    let user = try folder.file("user.conf", Data("[download]\nproxy = http://proxy.example:3128\n".utf8))
    var settings = PipSettings(environment: [:], files: [system, user, folder.url("none").path])
    #expect(settings.indexes == ["https://mirror.example/simple"])
    #expect(settings.folders == ["/opt/wheels", "/srv/more wheels"])
    #expect(settings.certificates == "/etc/ssl/own.pem")
    #expect(settings.proxy == "http://proxy.example:3128")
    settings = PipSettings(
      environment: [
        "PIP_INDEX_URL": "https://first.example/simple", "PIP_EXTRA_INDEX_URL": "https://second.example/s/",
        "PIP_CERT": "",
      ], files: [system])
    #expect(settings.indexes == ["https://first.example/simple", "https://second.example/s"])
    #expect(settings.certificates == "/etc/ssl/own.pem")
    #expect(PipSettings(environment: [:], files: []).indexes.count == 1)
  }

  @Test func `Addresses are shown without secrets`() {
    #expect(Address.shown("https://me:word@host.example:8/a/b?key=1#c") == "https://host.example:8/a/b")
    #expect(Address.escaped("a b/ü+c.gguf") == "a%20b/%C3%BC%2Bc.gguf")
    #expect(Address.origin("HTTPS://Host.example/x") == Address.origin("https://host.example/y"))
    #expect(Address.origin("https://host.example:444/x") != Address.origin("https://host.example/x"))
    for text in ["", "host.example/x", "file:///etc/passwd", "https://", "https://host.example/a b"] {
      #expect(throws: DownloadError.notAnAddress(text)) { try Address.check(text) }
    }
  }
}
