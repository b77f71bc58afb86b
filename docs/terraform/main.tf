# The function, its asynchronous settings and its one timer, as `cce-scheduler deploy` makes them.
#
#   cce-scheduler package --output function.zip
#   terraform apply -var region=ap-southeast-2 -var project_id=0123... -var agency=cce-scheduler
#
# Use Terraform or `deploy` for one function, not both.

terraform {
  required_providers {
    huaweicloud = {
      source  = "huaweicloud/huaweicloud"
      version = ">= 1.71.0"
    }
  }
}

provider "huaweicloud" {
  region = var.region
}

resource "huaweicloud_fgs_function" "scheduler" {
  name                  = var.name
  app                   = "default"
  functiongraph_version = "v2"
  description           = "Made by Terraform from schedules.yaml: change it there."

  runtime     = var.runtime
  handler     = "index.handler"
  memory_size = 256
  timeout     = 60

  code_type     = "zip"
  code_filename = "function.zip"
  func_code     = filebase64(var.package)

  agency           = var.agency
  user_data        = jsonencode({ region = var.region, projectId = var.project_id })
  max_instance_num = "1"
}

# No retries: the next run does what a lost one did not. An event that waited longer than a period is worthless.
resource "huaweicloud_fgs_async_invoke_configuration" "scheduler" {
  function_urn                   = huaweicloud_fgs_function.scheduler.urn
  max_async_retry_attempts       = 0
  max_async_event_age_in_seconds = 300
}

resource "huaweicloud_fgs_function_trigger" "timer" {
  function_urn = huaweicloud_fgs_function.scheduler.urn
  type         = "TIMER"
  status       = var.enabled ? "ACTIVE" : "DISABLED"
  event_data = jsonencode({
    name          = "cce-scheduler"
    schedule_type = "Cron"
    schedule      = "0 0/5 * * * *"
    user_event    = ""
  })

  depends_on = [huaweicloud_fgs_async_invoke_configuration.scheduler]
}
