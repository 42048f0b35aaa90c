# Pixels, in shards: conversion, artefact removal, filters. A job has one thread: shards use the
# cores, and two jobs get more done than one with two threads (docs/scale.md).


rule convert:
    input:
        # Not the catalog, which is written anew whenever a file is added: only a shard whose own
        # rows changed (params.rows) runs again. And not the files: a hundred thousand of them
        # would take Snakemake a minute to look at, and the rows hold their hashes.
        after_catalog(),
    output:
        images=directory("results/{run}/images/converted/{shard}"),
        rejected="results/{run}/images/converted/{shard}.rejected.csv",
    log:
        "logs/{run}/convert/{shard}.log",
    benchmark:
        "logs/{run}/convert/{shard}.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=code_hash("images.convert"),
        catalog=get_catalog,
        rows=get_shard_hash,
        size=config["convert"]["size"],
        bits=config["convert"]["bits"],
        intensity=get_intensity_options(),
        max_pixels=config["dataset"]["max_pixels"],
    shell:
        """
        mcalc convert \
            --catalog {params.catalog:q} \
            --shard {wildcards.shard} \
            --images {output.images:q} \
            --rejected {output.rejected:q} \
            --size {params.size} \
            --bits {params.bits} \
            {params.intensity} \
            --max-pixels {params.max_pixels} \
            --threads {threads} \
            >{log:q} 2>&1
        """


rule clean:
    input:
        after_catalog("results/{run}/images/converted/{shard}"),
    output:
        images=directory("results/{run}/images/cleaned/{shard}"),
        kept="results/{run}/images/cleaned/{shard}.csv",
    log:
        "logs/{run}/clean/{shard}.log",
    benchmark:
        "logs/{run}/clean/{shard}.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code_hash("images.clean"),
        method=config["clean"]["method"],
    shell:
        """
        mcalc clean {input:q} \
            --cleaned {output.images:q} \
            --kept {output.kept:q} \
            --method {params.method} \
            --threads {threads} \
            >{log:q} 2>&1
        """


rule clean_mammograms:
    input:
        "results/{run}/catalog.csv",
    output:
        images=directory("results/{run}/images/mammograms"),
        kept="results/{run}/mammograms.csv",
    log:
        "logs/{run}/clean_mammograms.log",
    benchmark:
        "logs/{run}/clean_mammograms.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 2
    resources:
        mem_mb=6000,
        runtime=60,
    params:
        code=code_hash("images.clean_mammograms"),
        origin=config["mammograms"]["origin"],
        limit=config["mammograms"]["limit"],
        max_pixels=config["dataset"]["max_pixels"],
        truth=get_option("--truth", TRUE_MASKS),
    shell:
        """
        mcalc clean-mammograms \
            --catalog {input:q} \
            --images {output.images:q} \
            --kept {output.kept:q} \
            --origin {params.origin} \
            --limit {params.limit} \
            --max-pixels {params.max_pixels} \
            {params.truth} \
            --threads {threads} \
            >{log:q} 2>&1
        """


rule compare_filters:
    input:
        after_catalog("results/{run}/images/cleaned/{shard}"),
    output:
        "results/{run}/filters/{shard}.csv",
    log:
        "logs/{run}/compare_filters/{shard}.log",
    benchmark:
        "logs/{run}/compare_filters/{shard}.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code_hash("images.compare_filters"),
        filters=get_filter_options(),
    shell:
        """
        mcalc compare-filters {input:q} \
            --scores {output:q} \
            {params.filters} \
            --threads {threads} \
            >{log:q} 2>&1
        """


rule bench_filters:
    output:
        scores="results/{run}/filters/truth.csv",
        picture=directory("results/{run}/filters/speck"),
    log:
        "logs/{run}/bench_filters.log",
    benchmark:
        "logs/{run}/bench_filters.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_hash("images.bench_filters"),
        filters=get_filter_options(),
        noises=get_noise_options(),
        crops=config["filters"]["truth"]["crops"],
        seed=config["filters"]["truth"]["seed"],
        size=config["convert"]["size"],
        bits=config["convert"]["bits"],
    shell:
        """
        mcalc bench-filters \
            --scores {output.scores:q} \
            --picture {output.picture:q} \
            {params.filters} \
            {params.noises} \
            --crops {params.crops} \
            --seed {params.seed} \
            --size {params.size} \
            --bits {params.bits} \
            --threads {threads} \
            >{log:q} 2>&1
        """


rule choose_filter:
    input:
        scores=expand("results/{{run}}/filters/{shard}.csv", shard=SHARDS),
        truth=get_truth_table,
    output:
        "results/{run}/filters/choice.json",
    log:
        "logs/{run}/choose_filter.log",
    benchmark:
        "logs/{run}/choose_filter.benchmark.tsv"
    localrule: True
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("images.choose_filter"),
        filters=get_filter_options(),
        wanted=config["filters"]["apply"],
        truth=get_truth_option,
    shell:
        """
        mcalc choose-filter {input.scores:q} \
            --choice {output:q} \
            {params.filters} \
            --wanted {params.wanted} \
            {params.truth} \
            >{log:q} 2>&1
        """


rule enhance:
    input:
        images=after_catalog("results/{run}/images/cleaned/{shard}"),
        choice="results/{run}/filters/choice.json",
    output:
        directory("results/{run}/images/enhanced/{shard}"),
    log:
        "logs/{run}/enhance/{shard}.log",
    benchmark:
        "logs/{run}/enhance/{shard}.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code_hash("images.enhance"),
    shell:
        """
        mcalc enhance {input.images:q} \
            --choice {input.choice:q} \
            --enhanced {output:q} \
            --threads {threads} \
            >{log:q} 2>&1
        """


rule stack:
    input:
        expand("results/{{run}}/images/enhanced/{shard}", shard=SHARDS),
        after_catalog(),
    output:
        pixels="results/{run}/images/stacked.npy",
        table="results/{run}/images/stacked.csv",
    log:
        "logs/{run}/stack.log",
    benchmark:
        "logs/{run}/stack.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code_hash("images.stack"),
    shell:
        """
        mcalc stack {input:q} \
            --stack {output.pixels:q} \
            --threads {threads} \
            >{log:q} 2>&1
        """


rule stack_slices:
    input:
        catalog="results/{run}/catalog.csv",
        rejected=["results/{run}/rejected.csv"]
        + expand("results/{{run}}/images/converted/{shard}.rejected.csv", shard=SHARDS),
    output:
        pixels="results/{run}/images/slices.npy",
        table="results/{run}/images/slices.csv",
    log:
        "logs/{run}/stack_slices.log",
    benchmark:
        "logs/{run}/stack_slices.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 2
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=code_hash("images.stack_slices"),
        rejected=get_rejected_options,
        intensity=get_intensity_options(),
        max_pixels=config["dataset"]["max_pixels"],
    shell:
        """
        mcalc stack-slices \
            --catalog {input.catalog:q} \
            {params.rejected} \
            --stack {output.pixels:q} \
            {params.intensity} \
            --max-pixels {params.max_pixels} \
            --threads {threads} \
            >{log:q} 2>&1
        """
