"""Images to try the module on, by the names that Slicer's own Sample Data module knows them by."""

from slicer.i18n import tr as _

SAMPLES = ("MRHead", "CTACardio", "CTLiver")


def register() -> None:
    """Shows them under HiDiffRefine in Sample Data too: sources, files and checksums are Slicer's own."""
    import SampleData

    logic = SampleData.SampleDataLogic()
    for name in SAMPLES:
        source = logic.sourceForSampleName(name)
        if source is not None:
            SampleData.SampleDataLogic.registerCustomSampleDataSource(
                category=_("HiDiff Refine"),
                sampleName=source.sampleName,
                uris=source.uris,
                fileNames=source.fileNames,
                nodeNames=source.nodeNames,
                checksums=source.checksums,
                thumbnailFileName=source.thumbnailFileName,
            )
