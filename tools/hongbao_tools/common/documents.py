"""Fields of JSON documents by their path: reports and status pages of the programs."""


def get(document, path, default=0):
    """get(report, 'shake.won_fen'): the value, or `default` where the document has no such field."""
    for key in path.split("."):
        if not isinstance(document, dict) or document.get(key) is None:
            return default
        document = document[key]
    return document


def total(documents, path):
    return sum(get(document, path) for document in documents)
