# Networks: one job trains one test of the grid on one protocol, or measures one that is trained.
# And the models that must not be good, which networks are compared with.


rule train:
    input:
        split="results/{run}/splits/{protocol}.csv",
        stack="results/{run}/images/stacked.npy",
        stacked="results/{run}/images/stacked.csv",
        weights=get_weights_file,
    output:
        multiext(
            "results/{run}/runs/{protocol}/{network}/test{test}/fold{fold}/",
            *RUN_FILES,
        ),
    log:
        "logs/{run}/train/{protocol}/{network}/test{test}/fold{fold}.log",
    benchmark:
        "logs/{run}/train/{protocol}/{network}/test{test}/fold{fold}.benchmark.tsv"
    wildcard_constraints:
        protocol=rf"(?!(?:{UNTRAINED})/)[a-z_]+",
    conda:
        "../../envs/mcalc.yaml"
    threads: config["train"]["threads"]
    resources:
        mem_mb=8000,
        runtime=480,
        gpu=0 if config["train"]["device"] == "cpu" else 1,
    params:
        code=code_hash("learning.train"),
        weights=get_weights_fingerprint,
        run=get_output_folder,
        options=get_train_options,
    # exec: SIGTERM would end a shell between the two at once, and Snakemake with it, while the
    # training still saves its checkpoint.
    shell:
        """
        exec mcalc train {input.stack:q} \
            --split {input.split:q} \
            --run {params.run:q} \
            --protocol {wildcards.protocol} \
            --network {wildcards.network} \
            --test {wildcards.test} \
            --fold {wildcards.fold} \
            {params.options} \
            --threads {threads} \
            >{log:q} 2>&1
        """


rule predict:
    input:
        trained=get_trained_run,
        split="results/{run}/splits/{protocol}.csv",
        stack="results/{run}/images/stacked.npy",
        stacked="results/{run}/images/stacked.csv",
    output:
        multiext(
            "results/{run}/runs/{protocol}/{network}/test{test}/fold{fold}/",
            *PREDICTED_FILES,
        ),
    log:
        "logs/{run}/predict/{protocol}/{network}/test{test}/fold{fold}.log",
    benchmark:
        "logs/{run}/predict/{protocol}/{network}/test{test}/fold{fold}.benchmark.tsv"
    wildcard_constraints:
        protocol=UNTRAINED,
    conda:
        "../../envs/mcalc.yaml"
    threads: config["train"]["threads"]
    resources:
        mem_mb=8000,
        runtime=60,
        gpu=0 if config["train"]["device"] == "cpu" else 1,
    params:
        code=code_hash("learning.predict"),
        trained=get_trained_folder,
        run=get_output_folder,
        device=config["train"]["device"],
    shell:
        """
        mcalc predict {input.stack:q} \
            --trained {params.trained:q} \
            --split {input.split:q} \
            --run {params.run:q} \
            --protocol {wildcards.protocol} \
            --device {params.device} \
            --threads {threads} \
            >{log:q} 2>&1
        """


rule shortcuts:
    input:
        catalog="results/{run}/catalog.csv",
        split="results/{run}/splits/{protocol}.csv",
        trained=get_trained_split,
        stack="results/{run}/images/stacked.npy",
        stacked="results/{run}/images/stacked.csv",
    output:
        "results/{run}/shortcuts/{protocol}/fold{fold}.csv",
    log:
        "logs/{run}/shortcuts/{protocol}/fold{fold}.log",
    benchmark:
        "logs/{run}/shortcuts/{protocol}/fold{fold}.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_hash("learning.shortcuts"),
        seed=config["train"]["seed"],
    shell:
        """
        mcalc shortcuts {input.stack:q} \
            --catalog {input.catalog:q} \
            --split {input.split:q} \
            --trained-split {input.trained:q} \
            --shortcuts {output:q} \
            --fold {wildcards.fold} \
            --seed {params.seed} \
            >{log:q} 2>&1
        """


rule audit_leakage:
    input:
        accepted="results/{run}/accepted.json",
        catalog="results/{run}/catalog.csv",
        rejected=expand(
            "results/{{run}}/images/converted/{shard}.rejected.csv", shard=SHARDS
        ),
        stack="results/{run}/images/stacked.npy",
        stacked="results/{run}/images/stacked.csv",
        like=get_leakage_card,
    output:
        "results/{run}/leakage/{protocol}.csv",
    log:
        "logs/{run}/audit_leakage/{protocol}.log",
    benchmark:
        "logs/{run}/audit_leakage/{protocol}.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=720,
        gpu=get_leakage_gpu(),
    params:
        code=code_hash("learning.audit_leakage"),
        rejected=get_rejected_options,
        options=get_leakage_options(),
        like=get_leakage_like,
    shell:
        """
        mcalc audit-leakage {input.stack:q} \
            --catalog {input.catalog:q} \
            {params.rejected} \
            --protocol {wildcards.protocol} \
            --answers {output:q} \
            {params.options} \
            {params.like} \
            --threads {threads} \
            >{log:q} 2>&1
        """


# The league: methods of other studies, which compete where somebody asks for them.


rule extract_features:
    input:
        images=after_catalog("results/{run}/images/enhanced/{shard}"),
        weights=get_feature_weights,
    output:
        "results/{run}/features/{kind}/{shard}.parquet",
    log:
        "logs/{run}/extract_features/{kind}/{shard}.log",
    benchmark:
        "logs/{run}/extract_features/{kind}/{shard}.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        code=get_feature_code,
        file=get_pretrained_fingerprint(get_feature_weights),
        weights=get_feature_weights_option,
    shell:
        """
        mcalc extract-features {input.images:q} \
            --kind {wildcards.kind} \
            --features {output:q} \
            {params.weights} \
            --threads {threads} \
            >{log:q} 2>&1
        """


rule train_model:
    input:
        split="results/{run}/splits/{protocol}.csv",
        stack="results/{run}/images/stacked.npy",
        stacked="results/{run}/images/stacked.csv",
        weights=get_model_weights,
    output:
        multiext("results/{run}/league/{protocol}/{model}/fold{fold}/", *RUN_FILES),
    log:
        "logs/{run}/train_model/{protocol}/{model}/fold{fold}.log",
    benchmark:
        "logs/{run}/train_model/{protocol}/{model}/fold{fold}.benchmark.tsv"
    wildcard_constraints:
        model="|".join(LEAGUE_NETWORKS),
    conda:
        "../../envs/mcalc.yaml"
    threads: config["train"]["threads"]
    resources:
        mem_mb=8000,
        runtime=480,
        gpu=0 if config["train"]["device"] == "cpu" else 1,
    params:
        code=code_hash("learning.train"),
        file=get_pretrained_fingerprint(get_model_weights),
        run=get_output_folder,
        options=get_model_train_options,
    shell:
        """
        exec mcalc train {input.stack:q} \
            --split {input.split:q} \
            --run {params.run:q} \
            --protocol {wildcards.protocol} \
            --fold {wildcards.fold} \
            {params.options} \
            --threads {threads} \
            >{log:q} 2>&1
        """


rule fit_model:
    input:
        split="results/{run}/splits/{protocol}.csv",
        features=get_model_features,
        base=get_model_base,
        stack=get_model_stack,
    output:
        multiext("results/{run}/league/{protocol}/{model}/fold{fold}/", *MODEL_FILES),
    log:
        "logs/{run}/fit_model/{protocol}/{model}/fold{fold}.log",
    benchmark:
        "logs/{run}/fit_model/{protocol}/{model}/fold{fold}.benchmark.tsv"
    wildcard_constraints:
        model="|".join(LEAGUE_HEADS),
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code_hash("learning.fit_model"),
        run=get_output_folder,
        features=get_model_features_options,
        base=get_model_base_options,
        seed=config["train"]["seed"],
    shell:
        """
        mcalc fit-model {wildcards.model} \
            --split {input.split:q} \
            --run {params.run:q} \
            --protocol {wildcards.protocol} \
            {params.features} \
            {params.base} \
            --fold {wildcards.fold} \
            --seed {params.seed} \
            --threads {threads} \
            >{log:q} 2>&1
        """


rule fit_ensemble:
    input:
        split="results/{run}/splits/{protocol}.csv",
        base=get_model_base,
        slices=get_slices,
    output:
        multiext("results/{run}/league/{protocol}/{model}/fold{fold}/", *ENSEMBLE_FILES),
    log:
        "logs/{run}/fit_ensemble/{protocol}/{model}/fold{fold}.log",
    benchmark:
        "logs/{run}/fit_ensemble/{protocol}/{model}/fold{fold}.benchmark.tsv"
    wildcard_constraints:
        model="|".join(LEAGUE_ENSEMBLES),
    conda:
        "../../envs/mcalc.yaml"
    threads: config["train"]["threads"] if HAS_SLICES else 1
    resources:
        mem_mb=8000 if HAS_SLICES else 2000,
        runtime=480 if HAS_SLICES else 10,
        gpu=1 if HAS_SLICES and config["train"]["device"] != "cpu" else 0,
    params:
        code=code_hash("learning.fit_ensemble"),
        run=get_output_folder,
        base=get_base_folder,
        slices=get_slices_options,
        seed=config["train"]["seed"],
    shell:
        """
        mcalc fit-ensemble {wildcards.model} \
            --split {input.split:q} \
            --run {params.run:q} \
            --protocol {wildcards.protocol} \
            --base {params.base:q} \
            {params.slices} \
            --fold {wildcards.fold} \
            --seed {params.seed} \
            --threads {threads} \
            >{log:q} 2>&1
        """
