"""The list of all parts of a release, for programs: SPDX 2.3 (ISO/IEC 5962) as JSON."""

import datetime
import hashlib
import re

NAMESPACE = "https://spdx.org/spdxdocs/"


def document(name, version, commit, program_sha256, parts, date):
    """The document of a program and its parts, the same for the same sources."""
    identity = hashlib.sha256(f"{name} {version} {commit} {program_sha256}".encode()).hexdigest()
    root = _package(
        "retrieval-attention", version, "Apache-2.0", "NOASSERTION", purl="", sha256=program_sha256,
        copyright_text="NOASSERTION", comment=f"Made of the commit {commit}." if commit else "",
    )
    root["primaryPackagePurpose"] = "APPLICATION"
    packages, relations = [root], [_relation("SPDXRef-DOCUMENT", "DESCRIBES", root["SPDXID"])]
    extracted = []
    for part in parts:
        source = f"git+{part.home}" if part.purl.startswith("pkg:swift/") else "NOASSERTION"
        package = _package(
            part.name, part.version, part.licence, source, part.purl, part.sha256,
            copyright_text=_copyright(part.texts), comment="",
        )
        if part.home.startswith("http"):
            package["homepage"] = part.home
        packages.append(package)
        relations.append(_relation(root["SPDXID"], "CONTAINS", package["SPDXID"]))
        if part.licence.startswith("LicenseRef-"):
            extracted.append({"licenseId": part.licence, "extractedText": "\n".join(part.texts.values())})
    result = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"{NAMESPACE}{name}-{identity[:32]}",
        "creationInfo": {
            "created": datetime.datetime.fromtimestamp(date, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": ["Tool: retrieval-attention-scripts-dist"],
        },
        "packages": packages,
        "relationships": relations,
    }
    if extracted:
        result["hasExtractedLicensingInfos"] = extracted
    return result


def _package(name, version, licence, location, purl, sha256, copyright_text, comment):
    package = {
        "SPDXID": "SPDXRef-Package-" + re.sub(r"[^A-Za-z0-9.-]", "-", name),
        "name": name,
        "versionInfo": version,
        "downloadLocation": location,
        "filesAnalyzed": False,
        "licenseConcluded": licence,
        "licenseDeclared": licence,
        "copyrightText": copyright_text,
    }
    if sha256:
        package["checksums"] = [{"algorithm": "SHA256", "checksumValue": sha256}]
    if purl:
        package["externalRefs"] = [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}
        ]
    if comment:
        package["comment"] = comment
    return package


def _copyright(texts):
    """The lines of a part's texts that claim a copyright; templates of a licence are none."""
    claim = re.compile(r"^\W*(copyright (\(c\)|©|\d{4})|\(c\)|©).*$", re.IGNORECASE)
    lines = [line.strip() for content in texts.values() for line in content.splitlines() if claim.match(line.strip())]
    return "\n".join(dict.fromkeys(lines)) or "NOASSERTION"


def _relation(left, kind, right):
    return {"spdxElementId": left, "relationshipType": kind, "relatedSpdxElement": right}
