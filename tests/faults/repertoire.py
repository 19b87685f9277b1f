"""All that the verbs load and work out, so that it is done once (see `tests.faults.company`)."""

import aiobotocore.session
import deltalake
import s3fs

import jobs.classify
import jobs.compare
import jobs.cut
import jobs.refresh
import jobs.vacuum
import jobs.verify
import pipeline.cutting.source
import pipeline.numerics
import pipeline.run.cutting
import pipeline.run.report
import pipeline.streaming.cutting
import pipeline.streaming.decode
import pipeline.streaming.metrics
import pipeline.streaming.model
import pipeline.streaming.sink
import pipeline.streaming.stream

__all__ = ["aiobotocore", "deltalake", "jobs", "pipeline", "s3fs"]

pipeline.numerics.code_digest()
