"""The two networks as one: definition, detector, crops, classifier, decision."""
